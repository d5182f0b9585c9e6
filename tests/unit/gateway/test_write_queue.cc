#include "gateway/write_queue.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "unit/gateway/memory_registry.h"

using namespace fortros;
using namespace fortros::gateway;

namespace {

// Counts what would be writes to the disk; the disk may be full.
class Disk final : public MemoryRegistry {
public:
    Status batch(const std::function<void()>& calls) override {
        ++batches;
        if (cannot_begin) return fail(ErrorCode::Busy, "locked");
        calls();
        if (is_full) return fail(ErrorCode::Exhausted, "full");
        return {};
    }
    unsigned batches = 0;
    bool is_full = false;
    bool cannot_begin = false;
};

struct World {
    World() : loop(std::move(Loop::create().value())) {
        queue.emplace(
            WriteQueue::Parts{*loop, disk, random},
            [this](const Proved& proved) {
                if (slowness > Duration{}) {
                    const Instant end = monotonic_now() + slowness;
                    while (monotonic_now() < end) {
                    }
                }
                return Answer{200, {}, proved.request.target};
            },
            [](const Request&, const Error& why, Duration after) {
                return Answer{
                    503, {}, std::string(name_of(why.code)) + (after > Duration{} ? " later" : "")};
            },
            [this] { ++written; });
    }

    void ask(const std::string& what, std::shared_ptr<std::atomic<bool>> gone = nullptr) {
        asked += gone ? 0 : 1;
        queue->add({.request = {.method = "POST",
                                .target = what,
                                .since = monotonic_now() - waited,
                                .gone = std::move(gone)}},
                   [this](Answer answer) {
                       told.push_back(std::to_string(answer.status) + " " + answer.body);
                       if (told.size() == asked) loop->stop();
                   });
    }
    void run() {
        if (told.size() < asked) REQUIRE(loop->run());
    }

    std::unique_ptr<Loop> loop;
    Disk disk;
    SeededRandom random{1};
    Duration slowness{};
    Duration waited{};  // by whoever asks, before
    std::size_t asked = 0;
    std::vector<std::string> told;
    unsigned written = 0;
    std::optional<WriteQueue> queue;
};

}  // namespace

// Ten thousand newcomers would cost ten thousand writes to the disk.
TEST_CASE(
    "write queue: who comes while another waits shares its write, and all are answered in order") {
    World world;
    for (int i = 0; i < 100; ++i) world.ask(std::to_string(i));
    CHECK(world.told.empty());
    world.run();
    REQUIRE(world.told.size() == 100);
    for (int i = 0; i < 100; ++i) CHECK(world.told[i] == "200 " + std::to_string(i));
    CHECK(world.disk.batches == 2);  // 64 are the most
    CHECK(world.written == 2);
}

// A node would be told that it is a member, and nobody would know it after a power cut.
TEST_CASE("write queue: nobody is told yes of a batch that was not written") {
    World world;
    world.disk.is_full = true;
    for (int i = 0; i < 3; ++i) world.ask("x");
    world.run();
    CHECK(world.told == std::vector<std::string>(3, "503 exhausted"));
    CHECK(world.written == 0);
    world.disk.is_full = false;
    world.ask("again");
    world.run();
    CHECK(world.told.back() == "200 again");
}

// The queue would be tried again for ever, and nobody answered.
TEST_CASE("write queue: who waits is answered even if no batch can begin") {
    World world;
    world.disk.cannot_begin = true;
    for (int i = 0; i < 70; ++i) world.ask("x");
    world.run();
    CHECK(world.told == std::vector<std::string>(70, "503 busy"));
}

// It would be served when its node has given up, and cost another one its turn.
TEST_CASE("write queue: who would wait for too long is told when to come again") {
    World world;
    world.slowness = 60ms;
    for (int i = 0; i < 200; ++i) world.ask("x");
    // It learns how slow it is by the first batch.
    while (world.told.empty()) {
        const auto stop = world.loop->after(10ms, [&] { world.loop->stop(); });
        REQUIRE(world.loop->run());
    }
    const auto told = world.told.size();
    world.ask("late");
    REQUIRE(world.told.size() == told + 1);
    CHECK(world.told.back() == "503 busy later");
}

// What it has waited at the door is a part of the time that a node has.
TEST_CASE("write queue: who has waited for long already is told when to come again") {
    World world;
    world.waited = 4s;
    world.ask("patient");
    world.run();
    CHECK(world.told.back() == "200 patient");
    world.waited = 10s;
    world.ask("gone");
    CHECK(world.told.back() == "503 busy later");
}

// After a stall the disk would be kept at work for those who have given up.
TEST_CASE("write queue: who has gone is not served") {
    World world;
    world.ask("gone", std::make_shared<std::atomic<bool>>(true));
    world.ask("here");
    world.run();
    CHECK(world.told == std::vector<std::string>{"200 here"});
}
