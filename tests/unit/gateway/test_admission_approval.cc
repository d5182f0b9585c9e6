// Who waits for an admin's word, who is retired, and boots that share a key.
#include "unit/gateway/admission_world.h"

using namespace fortros;
using namespace fortros::gateway;

namespace {

constexpr std::string_view guarded = "fortros-invite-v1-GGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGG";

void open_guarded_invite(AdmissionWorld& world, std::uint32_t uses = 9) {
    REQUIRE(world.registry.create_invite({.hash = hash_of_invite(as_bytes(guarded)),
                                          .uses = uses,
                                          .approval = Approval::Needed,
                                          .expires = noon + std::chrono::days{7}},
                                         "uid 0", noon));
}

}  // namespace

// The node would give up, ask all the time, or show its owner an address that nobody approves.
TEST_CASE("admission: who needs approval is told to wait, and is let in once it is given") {
    AdmissionWorld world;
    open_guarded_invite(world);
    FakeNode node(2);
    const auto ask = [&] { return world.handle(node.enroll(world.gateway.public_key, guarded)); };
    const auto answer = ask();
    CHECK(answer.status == 202);
    CHECK(node.is_proved(answer));
    const auto refusal = parse_refusal(answer.status, answer.body);
    CHECK(refusal.code == RefusalCode::ApprovalPending);
    CHECK(refusal.overlay_address == overlay_address(world.prefix, node.public_key));
    REQUIRE(header_of(answer, "Retry-After") != nullptr);
    const int seconds = std::stoi(*header_of(answer, "Retry-After"));
    CHECK(seconds >= 15);
    CHECK(seconds < 30);
    CHECK(world.tunnels.peers.empty());
    CHECK(world.log.count("waiting") == 1);
    CHECK(answer.progress == Progress::BeganToWait);
    const auto again = ask();
    CHECK(again.status == 202);
    CHECK(!again.progress);
    CHECK(world.log.count("waiting") == 1);  // asking again is no news

    world.restart();  // a power cut does not lose its place
    CHECK(ask().status == 202);
    REQUIRE(world.registry.approve(node.public_key, "uid 0", noon));
    const auto welcome = ask();
    REQUIRE(welcome.status == 200);
    CHECK(world.check(*parse_membership_answer(welcome.body)));
    CHECK(world.tunnels.peers.contains(node.public_key));
}

// A node that an admin has refused would come up, or would be told that its invite is bad.
TEST_CASE("admission: a rejected node is told so") {
    AdmissionWorld world;
    open_guarded_invite(world);
    FakeNode node(2);
    world.handle(node.enroll(world.gateway.public_key, guarded));
    REQUIRE(world.registry.reject(node.public_key, "uid 0", noon));
    const auto answer = world.handle(node.enroll(world.gateway.public_key, guarded));
    CHECK(answer.status == 401);
    CHECK(code_of(answer) == RefusalCode::ApprovalRefused);
    CHECK(node.is_proved(answer));
}

// A waiting node could join without ever having been approved.
TEST_CASE("admission: a waiting node is no member") {
    AdmissionWorld world;
    open_guarded_invite(world);
    FakeNode node(2);
    world.handle(node.enroll(world.gateway.public_key, guarded));
    const auto answer = world.handle(node.join(world.gateway.public_key));
    CHECK(answer.status == 401);
    CHECK(code_of(answer) == RefusalCode::UnknownNode);
}

// Nodes behind a flood of strangers would give up instead of coming back.
TEST_CASE("admission: a full list of the waiting asks for patience") {
    AdmissionWorld world;
    open_guarded_invite(world, 1000);
    for (std::uint32_t i = 0; i < waiting_per_invite_limit; ++i) {
        FakeNode node(100 + i);
        REQUIRE(world.handle(node.enroll(world.gateway.public_key, guarded)).status == 202);
    }
    FakeNode late(2);
    const auto answer = world.handle(late.enroll(world.gateway.public_key, guarded));
    CHECK(answer.status == 429);
    CHECK(code_of(answer) == RefusalCode::Busy);
    CHECK(late.is_proved(answer));
    REQUIRE(header_of(answer, "Retry-After") != nullptr);
    CHECK(std::stoi(*header_of(answer, "Retry-After")) >= 60);
    FakeNode honest(3);
    CHECK(world.handle(honest.enroll(world.gateway.public_key, invite)).status == 200);
}

// The lost key of a retired node would still open the org.
TEST_CASE("admission: a retired node is refused with its own word") {
    AdmissionWorld world;
    FakeNode node(2);
    world.enrolled(node);
    REQUIRE(world.registry.retire_node(node.public_key, "uid 0", noon));
    for (const auto& request :
         {node.join(world.gateway.public_key), node.enroll(world.gateway.public_key, invite)}) {
        const auto answer = world.handle(request);
        CHECK(answer.status == 403);
        CHECK(code_of(answer) == RefusalCode::Retired);
    }
}

// Nodes join once a boot, and stay up for months: the clone would be known by then.
TEST_CASE("admission: two machines with one key show in the feed, one that reboots does not") {
    AdmissionWorld world;
    FakeNode node(2);
    world.enrolled(node);
    const auto boots = [&](char id) {
        node.boot_id = std::string(32, id);
        REQUIRE(world.handle(node.join(world.gateway.public_key)).status == 200);
    };
    const auto polls = [&](char id) {
        world.admission->has_seen(node.public_key, std::string(32, id), noon);
    };
    for (const char id : {'a', 'b', 'c', 'd', 'e'}) {
        boots(id);
        for (int i = 0; i < 3; ++i) polls(id);
    }
    CHECK(world.log.count("key-shared") == 0);
    polls('d');
    CHECK(world.log.count("key-shared") == 1);
    CHECK(world.registry.find_node(node.public_key).value()->key_shared == noon);
    polls('e');
    polls('d');
    CHECK(world.log.count("key-shared") == 1);  // not at every turn
}

// Two copies of one disk would fight for one tunnel, and nobody would know.
TEST_CASE("admission: boots that take turns with one key are reported, and served") {
    AdmissionWorld world;
    FakeNode node(2);
    world.enrolled(node);
    FakeNode copy(2);
    copy.boot_id = std::string(32, 'c');
    const auto join = [&](FakeNode& who, WallTime now) {
        REQUIRE(world.handle(who.join(world.gateway.public_key), now).status == 200);
    };
    join(copy, noon + 1s);  // a reboot, for all we know
    CHECK(world.log.count("key-shared") == 0);
    join(node, noon + 2s);
    CHECK(world.log.count("key-shared") == 1);
    CHECK(world.registry.find_node(node.public_key).value()->key_shared == noon + 2s);
    join(copy, noon + 3s);
    join(node, noon + 4s);
    CHECK(world.log.count("key-shared") == 1);  // not at every turn
    join(copy, noon + 2h);
    CHECK(world.log.count("key-shared") == 2);
    const auto entries = world.registry.audit(1);
    CHECK(entries->at(0).event == "key-shared");
    // A registry that can't be written keeps nobody out.
    world.registry.fault = Error{ErrorCode::Exhausted, "disk full"};
    join(node, noon + 4h);
    CHECK(world.log.count("key-shared") == 3);
}
