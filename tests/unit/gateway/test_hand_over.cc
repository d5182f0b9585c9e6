#include "gateway/hand_over.h"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

#include "base/text.h"
#include "core/feed.h"
#include "unit/gateway/fakes.h"

using namespace fortros;
using namespace fortros::gateway;

namespace {

constexpr int room = 4096;

// Edge and desk in one thread: the desk is held for as long as nobody lets it work.
struct World {
    void add(std::string_view target = join_target, Duration waited = {},
             std::shared_ptr<std::atomic<bool>> gone = nullptr) {
        Proved proved;
        proved.request.target = std::string(target);
        proved.request.since = monotonic_now() - waited;
        proved.request.gone = std::move(gone);
        hand_over.add(std::move(proved),
                      [this](Answer answer) { answers.push_back(std::move(answer)); });
    }
    static void turn(Loop& loop, Mailbox& box) {
        box.put([&loop] { loop.stop(); });
        REQUIRE(loop.run());
    }
    void let_desk_work() { turn(*desk, *to_desk); }
    void let_edge_work() { turn(*edge, *to_edge); }

    std::unique_ptr<Loop> desk = std::move(Loop::create().value());
    std::unique_ptr<Loop> edge = std::move(Loop::create().value());
    std::unique_ptr<Mailbox> to_desk =
        std::move(Mailbox::create(*desk, Loop::Order::AsTheyCome).value());
    std::unique_ptr<Mailbox> to_edge =
        std::move(Mailbox::create(*edge, Loop::Order::First).value());
    SeededRandom random{1};
    unsigned decided = 0;
    std::vector<Answer> answers;
    HandOver hand_over{{*to_desk, *to_edge, random}, [this](const Proved&, Reply reply) {
                           ++decided;
                           reply(make_answer(200, "{}"));
                       }};
};

}  // namespace

// A node would wait in vain for a gateway that says nothing, or it all would be done in the wrong thread.
TEST_CASE("hand-over: what is asked at the edge is decided at the desk and told at the edge") {
    World world;
    world.add();
    CHECK(world.decided == 0);
    world.let_desk_work();
    CHECK(world.decided == 1);
    CHECK(world.answers.empty());
    world.let_edge_work();
    REQUIRE(world.answers.size() == 1);
    CHECK(world.answers[0].status == 200);
}

// Those who are sent away together would come back together, again and again.
TEST_CASE("hand-over: when more wait than can be served the next are told when to come again") {
    World world;
    for (int i = 0; i < room; ++i) world.add();
    CHECK(world.answers.empty());
    for (int i = 0; i < 100; ++i) world.add();
    REQUIRE(world.answers.size() == 100);
    std::set<std::string> times;
    for (const auto& answer : world.answers) {
        CHECK(answer.status == 503);
        CHECK(answer.refusal == RefusalCode::Busy);
        const auto* seconds = header_of(answer, "Retry-After");
        REQUIRE(seconds != nullptr);
        times.insert(*seconds);
        const auto after = parse_number<int>(*seconds).value_or(0);
        CHECK_MESSAGE((after >= 10 && after <= 20), *seconds);
    }
    CHECK(times.size() > 5);
    world.let_desk_work();
    world.add();
    CHECK(world.answers.size() == 100);
}

// An honest gateway that is busy would look like somebody who poses as one, and be left for good.
TEST_CASE("hand-over: who is sent away can tell that it was the gateway") {
    World world;
    FakeNode gateway(1), node(2);
    MemoryLog log;
    ProofGate gate(gateway.key.duplicate(), gateway.public_key, log,
                   [&](Proved proved, Reply reply) {
                       world.hand_over.add(std::move(proved), std::move(reply));
                   });
    for (int i = 0; i < room; ++i) world.add();
    Answer told;
    gate.handle(
        node.join(gateway.public_key), [&](Answer answer) { told = std::move(answer); },
        WallTime{});
    CHECK(told.status == 503);
    CHECK(header_of(told, "Retry-After") != nullptr);
    CHECK(node.is_proved(told));
}

// Whoever asks how the gateway is, often enough, would keep the nodes out.
TEST_CASE("hand-over: what else the desk has to do takes no node's place") {
    World world;
    for (int i = 0; i < room; ++i) world.to_desk->put([] {});
    world.add();
    CHECK(world.answers.empty());
}

// After a stall those who have given up would be served, and those who have come since would give up.
TEST_CASE("hand-over: a join that has waited for too long is put off, a poll is not") {
    World world;
    world.add(join_target, node_patience + 1s);
    world.add(enroll_target, node_patience + 1s);
    world.add(members_target, node_patience + 1s);
    world.add(join_target);
    world.let_desk_work();
    world.let_edge_work();
    REQUIRE(world.answers.size() == 4);
    CHECK(world.decided == 2);
    CHECK(world.answers[0].status == 503);
    CHECK(header_of(world.answers[0], "Retry-After") != nullptr);
    CHECK(world.answers[1].status == 503);
    CHECK(world.answers[2].status == 200);
    CHECK(world.answers[3].status == 200);
}

// The same, of those whose connection has ended: nobody hears the answer.
TEST_CASE("hand-over: who has gone is not served") {
    World world;
    const auto gone = std::make_shared<std::atomic<bool>>(false);
    world.add(join_target, {}, gone);
    world.add();
    *gone = true;
    world.let_desk_work();
    CHECK(world.decided == 1);
}
