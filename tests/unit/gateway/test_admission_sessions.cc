// What a join does to the peer that the kernel has.
#include "unit/gateway/admission_world.h"

using namespace fortros;
using namespace fortros::gateway;

// A node that rebooted, or once ran with its clock ahead, would be dropped by the kernel for ever;
// and a node whose tunnel lives would see it blink at every join.
TEST_CASE("admission: a peer without a live session is made anew, a live one is left alone") {
    AdmissionWorld world;
    FakeNode node(2);
    world.enrolled(node);
    REQUIRE(world.tunnels.resets == 1);
    auto& peer = world.tunnels.peers.at(node.public_key);
    const auto resets_after = [&](std::optional<WallTime> handshake, bool stepped_back) {
        peer.last_handshake = handshake;
        const auto before = world.tunnels.resets;
        REQUIRE(world.handle(node.join(world.gateway.public_key, stepped_back)).status == 200);
        return world.tunnels.resets - before;
    };
    CHECK(resets_after(std::nullopt, false) == 1);
    CHECK(resets_after(noon, false) == 0);
    CHECK(resets_after(noon - 179s, false) == 0);
    CHECK(resets_after(noon - 180s, false) == 1);
    CHECK(resets_after(noon + 1h, false) == 1);  // the gateway's own clock was ahead
    CHECK(resets_after(noon, true) == 1);
    // A reboot within the life of the old session, perhaps with the clock set back meanwhile.
    node.boot_id = "00000000000000000000000000000001";
    CHECK(resets_after(noon, false) == 1);
    CHECK(resets_after(noon, false) == 0);
    world.tunnels.peers.clear();
    REQUIRE(world.handle(node.join(world.gateway.public_key)).status == 200);
    CHECK(world.tunnels.peers.contains(node.public_key));
}

// The node has begun its session before it asked; and a gateway that has lost its kernel's peers since
// would say yes to a node that it then knows nothing of.
TEST_CASE(
    "admission: a session that the node tells of is left alone, where the kernel has its peer") {
    AdmissionWorld world;
    FakeNode node(2);
    world.enrolled(node);
    const auto join_with_session = [&](bool stepped_back) {
        const NodeRequest body{.boot_id = "00000000000000000000000000000002",
                               .agent = "test 1",
                               .clock_stepped_back = stepped_back,
                               .has_session = true};
        const auto before = world.tunnels.resets;
        const auto answer =
            world.handle(node.ask(world.gateway.public_key, join_target, to_json_text(body)));
        REQUIRE(answer.status == 200);
        return world.tunnels.resets - before;
    };
    world.tunnels.peers.at(node.public_key).last_handshake = noon;
    CHECK(join_with_session(false) == 0);
    CHECK(join_with_session(true) == 1);
    world.tunnels.peers.clear();
    CHECK(join_with_session(false) == 0);
    CHECK(world.tunnels.peers.contains(node.public_key));
}

// WireGuard tells of all peers or of none: everybody who comes back after a power cut would cost what
// the whole org has, and the last ones would come back much later.
TEST_CASE("admission: nobody who boots, and nobody who has a session, has all peers read") {
    AdmissionWorld world;
    FakeNode node(2);
    world.enrolled(node);
    for (const char boot : {'a', 'b'}) {
        node.boot_id = std::string(31, '0') + boot;
        REQUIRE(world.handle(node.join(world.gateway.public_key)).status == 200);
    }
    NodeRequest body{.boot_id = node.boot_id, .agent = "test 1", .has_session = true};
    REQUIRE(
        world.handle(node.ask(world.gateway.public_key, join_target, to_json_text(body))).status ==
        200);
    CHECK(world.tunnels.readings == 0);
    REQUIRE(world.handle(node.join(world.gateway.public_key)).status == 200);
    CHECK(world.tunnels.readings == 1);  // the same boot, and no word of a session
}

// The kernel remembers a handshake from the future for longer than the gateway runs.
TEST_CASE(
    "admission: a gateway that has started anew takes a node that it sees first for rebooted") {
    AdmissionWorld world;
    FakeNode node(2);
    world.enrolled(node);
    world.tunnels.peers.at(node.public_key).last_handshake = noon;
    world.restart();
    const auto resets = world.tunnels.resets;
    REQUIRE(world.handle(node.join(world.gateway.public_key)).status == 200);
    CHECK(world.tunnels.resets == resets + 1);
    world.tunnels.peers.at(node.public_key).last_handshake = noon;
    REQUIRE(world.handle(node.join(world.gateway.public_key)).status == 200);
    CHECK(world.tunnels.resets == resets + 1);
}
