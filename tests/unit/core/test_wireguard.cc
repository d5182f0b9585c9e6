#include "core/wireguard.h"

#include <doctest/doctest.h>

using namespace fortros;

using Kind = WireGuardChange::Kind;

static PublicKey key(std::uint8_t number) {
    PublicKey key;
    key.bytes.fill(number);
    return key;
}

static IpNetwork network(std::string_view text) { return *IpNetwork::parse(text); }

static WireGuardPeer peer(std::uint8_t number) {
    return {.key = key(number),
            .endpoint = Endpoint::parse("192.0.2.1:51820"),
            .allowed_ips = {network("fd12::1/128"), network("fd12::2/128")},
            .keepalive_seconds = 25};
}

static WireGuardPeerStatus status(WireGuardPeer peer, bool answered = true) {
    WireGuardPeerStatus status{.peer = std::move(peer)};
    if (answered) status.last_handshake = WallTime{std::chrono::seconds{1'700'000'000}};
    return status;
}

// Adopting a tunnel would make it blink, or cost netlink traffic each time the maintainer looks.
TEST_CASE("peers that are right already get no change") {
    auto reported = peer(1);
    std::swap(reported.allowed_ips[0], reported.allowed_ips[1]);
    CHECK(difference({peer(1)}, {status(reported)}).empty());
}

// An admitted node could not reach its gateway.
TEST_CASE("a peer that is missing is added with all it has") {
    const auto changes = difference({peer(1)}, {});
    REQUIRE(changes.size() == 1);
    CHECK(changes[0].kind == Kind::Add);
    CHECK(changes[0].peer == peer(1));
    CHECK(changes[0].replace_allowed_ips);
    CHECK(changes[0].set_endpoint);
    CHECK(changes[0].set_keepalive);
}

// A revoked node would keep its tunnel.
TEST_CASE("a peer that is not wanted is removed, before anything else") {
    const auto changes = difference({peer(1), peer(2)}, {status(peer(3))});
    REQUIRE(changes.size() == 3);
    CHECK(changes[0].kind == Kind::Remove);
    CHECK(changes[0].peer.key == key(3));
    CHECK(changes[1].kind == Kind::Add);
}

// A laptop that changed networks would be sent back to the address it had left.
TEST_CASE("an endpoint that the kernel has learnt is left alone") {
    auto roamed = peer(1);
    roamed.endpoint = Endpoint::parse("198.51.100.7:4321");
    CHECK(difference({peer(1)}, {status(roamed)}).empty());
}

// A gateway whose address changed while its node was off would never be found again.
TEST_CASE("an endpoint is set for a peer that has none or has never answered") {
    auto elsewhere = peer(1);
    elsewhere.endpoint = Endpoint::parse("198.51.100.7:4321");
    auto nowhere = peer(1);
    nowhere.endpoint = std::nullopt;
    for (const auto& have : {status(elsewhere, false), status(nowhere, true)}) {
        const auto changes = difference({peer(1)}, {have});
        REQUIRE(changes.size() == 1);
        CHECK(changes[0].kind == Kind::Update);
        CHECK(changes[0].set_endpoint);
        CHECK_FALSE(changes[0].replace_allowed_ips);
        CHECK(changes[0].peer.allowed_ips.empty());
    }
    // Where no endpoint is named there is nothing to set.
    CHECK(difference({nowhere}, {status(elsewhere, false)}).empty());
}

// A node behind NAT would stop being reachable, or go on paying for packets that nobody needs.
TEST_CASE("a keepalive that differs is changed, and nothing else of the peer") {
    auto silent = peer(1);
    silent.keepalive_seconds = 0;
    const auto changes = difference({silent}, {status(peer(1))});
    REQUIRE(changes.size() == 1);
    CHECK(changes[0].kind == Kind::Update);
    CHECK(changes[0].set_keepalive);
    CHECK_FALSE(changes[0].set_endpoint);
    CHECK_FALSE(changes[0].replace_allowed_ips);
}

// Packets of a node would go to, and be accepted from, the peer that had its address before.
TEST_CASE("an allowed IP that moves ends with its new peer") {
    auto loser = peer(1);
    auto winner = peer(2);
    loser.allowed_ips = {network("fd12::1/128")};
    winner.allowed_ips = {network("fd12::2/128")};
    auto winner_before = winner;
    winner_before.allowed_ips = {};
    const auto changes = difference({loser, winner}, {status(peer(1)), status(winner_before)});
    REQUIRE(changes.size() == 2);
    for (const auto& change : changes) {
        CHECK(change.kind == Kind::Update);
        CHECK(change.replace_allowed_ips);
    }
    CHECK(changes[0].peer.allowed_ips == loser.allowed_ips);
    CHECK(changes[1].peer.allowed_ips == winner.allowed_ips);
}

// Two peers that claim one address would be changed back and forth for ever.
TEST_CASE("what is wanted twice goes to the last, as in the kernel") {
    auto first = peer(1);
    auto last = peer(2);
    last.allowed_ips = {network("fd12::2/128")};
    const auto changes = difference({first, last}, {});
    REQUIRE(changes.size() == 2);
    CHECK(changes[0].peer.allowed_ips == std::vector{network("fd12::1/128")});
    CHECK(changes[1].peer.allowed_ips == std::vector{network("fd12::2/128")});
    auto first_reported = first;
    first_reported.allowed_ips = {network("fd12::1/128")};
    CHECK(difference({first, last}, {status(first_reported), status(last)}).empty());

    auto newer = peer(1);
    newer.keepalive_seconds = 5;
    const auto same_key = difference({peer(1), newer}, {});
    REQUIRE(same_key.size() == 1);
    CHECK(same_key[0].peer.keepalive_seconds == 5);
}

// The kernel reports networks without host bits: a peer with some would be updated for ever.
TEST_CASE("host bits of an allowed IP do not count") {
    auto sloppy = peer(1);
    sloppy.allowed_ips = {network("10.1.2.3/8")};
    auto reported = peer(1);
    reported.allowed_ips = {network("10.0.0.0/8")};
    CHECK(difference({sloppy}, {status(reported)}).empty());
    CHECK(difference({sloppy}, {})[0].peer.allowed_ips == reported.allowed_ips);
}
