#include "gateway/proof_gate.h"

#include <doctest/doctest.h>

#include "base/encoding.h"
#include "core/feed.h"
#include "unit/gateway/fakes.h"

using namespace fortros;
using namespace fortros::gateway;

namespace {

const WallTime noon{std::chrono::seconds{1'800'000'000}};

struct World {
    Answer handle(const Request& request) {
        Answer given;
        gate.handle(copy_of(request), [&](Answer answer) { given = std::move(answer); }, noon);
        return given;
    }

    FakeNode gateway{1};
    MemoryLog log;
    Answer decided = make_answer(200, "{}");
    std::vector<PublicKey> asked;  // whoever decides, by whom
    ProofGate gate{gateway.key.duplicate(), gateway.public_key, log,
                   [this](const Proved& proved, Reply reply) {
                       asked.push_back(proved.node);
                       reply(decided);
                   }};
};

}  // namespace

// Time would tell who is a member, and strangers could keep whoever decides at work, or waiting for etcd.
TEST_CASE("proof gate: nobody is asked anything for a wrong proof, nor for what is no question") {
    World world;
    FakeNode node(2);
    for (const auto target : {join_target, enroll_target}) {
        auto request = node.ask(world.gateway.public_key, target, "{}");
        request.headers[1].second = to_base64(ByteArray<32>{});
        CHECK(world.handle(request).status == 401);
        request.headers.pop_back();
        CHECK(world.handle(request).status == 401);
    }
    CHECK(world.handle({.method = "GET", .target = std::string(members_target)}).status == 401);
    CHECK(world.handle({.method = "POST", .target = "/"}).status == 404);
    CHECK(world.handle({.method = "GET", .target = std::string(join_target)}).status == 405);
    CHECK(world.asked.empty());
}

// A node could not tell its gateway from somebody who poses as one, and would believe neither.
TEST_CASE("proof gate: whatever a proved request is answered is sealed") {
    World world;
    FakeNode node(2);
    const auto request = node.join(world.gateway.public_key);
    CHECK(node.is_proved(world.handle(request)));
    CHECK(world.asked == std::vector{node.public_key});
    world.decided = make_refusal(RefusalCode::Busy, "not now");
    world.decided.headers.emplace_back("Retry-After", "7");
    const auto answer = world.handle(request);
    CHECK(answer.status == 503);
    CHECK(node.is_proved(answer));
}

// A gateway in another version could not be told from one that is not there.
TEST_CASE("proof gate: other addresses and methods are 404 and 405") {
    World world;
    CHECK(world.handle({.method = "POST", .target = "/"}).status == 404);
    CHECK(world.handle({.method = "POST", .target = "/v1/join/"}).status == 404);
    CHECK(world.handle({.method = "POST", .target = "/v1/join?x"}).status == 404);
    for (const auto& [target, method] :
         {std::pair{join_target, "POST"}, {enroll_target, "POST"}, {members_target, "GET"}}) {
        const auto answer = world.handle({.method = "DELETE", .target = std::string(target)});
        CHECK(answer.status == 405);
        REQUIRE(header_of(answer, "Allow") != nullptr);
        CHECK(*header_of(answer, "Allow") == method);
    }
}
