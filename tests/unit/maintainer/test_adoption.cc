#include "maintainer/adoption.h"

#include <doctest/doctest.h>

#include "fakes/boot_world.h"

using namespace fortros;

namespace {

// What preboot has handed off, and a kernel that has exactly that.
struct Adopted {
    fakes::BootWorld world;
    HandOff hand_off;
    std::vector<InterfaceState> kernel;

    Adopted() {
        REQUIRE(world.boot() == ExitStatus::Joined);
        hand_off = *world.handed_off;
        for (auto& interface : hand_off.interfaces) {
            interface.plan.listen_port = 40000;
            InterfaceState state{.wireguard = {.ifindex = interface.ifindex,
                                               .name = interface.plan.name,
                                               .public_key = hand_off.node,
                                               .listen_port = interface.plan.listen_port},
                                 .mtu = interface.plan.mtu,
                                 .up = true,
                                 .addresses = interface.plan.addresses};
            for (const auto& peer : interface.plan.peers) state.wireguard.peers.push_back({peer});
            for (const auto& route : interface.plan.routes)
                state.routes.push_back({route.destination, route.metric, hand_off.overlay_address});
            kernel.push_back(state);
        }
    }
};

}  // namespace

// A maintainer that touches what is right makes every tunnel of the node blink.
TEST_CASE("what preboot has made is adopted without one change") {
    const Adopted adopted;
    CHECK(check_adoptable(adopted.hand_off, adopted.kernel));
    CHECK(difference(plan_of(adopted.hand_off), adopted.hand_off.node, adopted.kernel).empty());
}

// /run is root's, but what peers with the node for months is still checked by the org's own word.
TEST_CASE("a hand-off is adopted only if the org has signed for its members") {
    Adopted adopted;
    HandOff& hand_off = adopted.hand_off;
    const auto why_not = [&] {
        const auto status = check_signed(hand_off, adopted.world.verifier);
        return status ? "" : status.error().text();
    };
    CHECK(why_not().empty());
    SUBCASE("long after, too") { CHECK(hand_off.time == adopted.world.wall); }
    SUBCASE("no signer") {
        hand_off.signers.clear();
        CHECK(why_not().contains("unknown signer"));
    }
    SUBCASE("no document") {
        hand_off.document.clear();
        CHECK(why_not().contains("org document"));
    }
    SUBCASE("another prefix") {
        hand_off.prefix.bytes[5] ^= 1;
        CHECK(why_not().contains("another overlay prefix"));
    }
    SUBCASE("somebody else's attestation") {
        hand_off.attestation = hand_off.peers[0].attestation;
        CHECK(why_not().contains("another key or role"));
    }
    SUBCASE("a peer without attestation") {
        hand_off.peers[0].attestation.clear();
        CHECK(why_not().contains("attestation"));
    }
    SUBCASE("a peer of an interface that is no member") {
        hand_off.interfaces[0].plan.peers.push_back({.key = hand_off.node});
        CHECK(why_not().contains("no member"));
    }
    SUBCASE("what was remembered has been checked by preboot") {
        hand_off.remembered = true;
        hand_off.document.clear();
        CHECK(why_not().empty());
    }
}

// A node that came up without any gateway has the same tunnels to keep.
TEST_CASE("an overlay from a bootstrap set is adopted like any other") {
    Adopted adopted;
    adopted.hand_off.remembered = true;
    for (auto& peer : adopted.hand_off.peers) peer.attestation.clear();
    const auto read = parse_hand_off(to_json_text(adopted.hand_off));
    REQUIRE(read);
    CHECK(check_adoptable(*read, adopted.kernel));
    CHECK(difference(plan_of(*read), read->node, adopted.kernel).empty());
}

TEST_CASE("what is missing is put back, and nothing else is touched") {
    Adopted adopted;
    adopted.kernel[0].routes.clear();
    const auto changes =
        difference(plan_of(adopted.hand_off), adopted.hand_off.node, adopted.kernel);
    REQUIRE(changes.size() == adopted.hand_off.interfaces[0].plan.routes.size());
    for (const auto& change : changes) CHECK(change.kind == OverlayChange::Kind::AddRoute);
}

// Adopting another node's interface would answer for somebody else.
TEST_CASE("interfaces without the hand-off's key are not adopted") {
    Adopted adopted;
    SUBCASE("gone") { adopted.kernel.erase(adopted.kernel.begin()); }
    SUBCASE("without a key") { adopted.kernel[0].wireguard.public_key.reset(); }
    SUBCASE("with another key") { adopted.kernel[0].wireguard.public_key->bytes[0] ^= 1; }
    SUBCASE("a lighthouse's with another key") {
        adopted.kernel.back().wireguard.public_key->bytes[0] ^= 1;
    }
    CHECK(!check_adoptable(adopted.hand_off, adopted.kernel));
}

// Lighthouses come and go: a maintainer that starts again after one has gone would never start.
TEST_CASE("a lighthouse that has gone since is no reason not to adopt") {
    Adopted adopted;
    adopted.kernel.pop_back();
    CHECK(check_adoptable(adopted.hand_off, adopted.kernel));
}
