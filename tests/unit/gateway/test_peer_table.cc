// What the gateway knows of the kernel's peers without asking.
#include "gateway/peer_table.h"

#include <doctest/doctest.h>

using namespace fortros;
using namespace fortros::gateway;

static constexpr WallTime noon{std::chrono::seconds{1'700'000'000}};

static NodeRecord node(std::uint8_t number, std::string_view address) {
    NodeRecord node{.overlay_address = *IpAddress::parse(address)};
    node.key.bytes.fill(number);
    return node;
}

static WireGuardStatus status_of(std::initializer_list<NodeRecord> nodes) {
    WireGuardStatus status;
    for (const auto& node : nodes)
        status.peers.push_back({.peer = peer_of(node), .last_handshake = noon});
    return status;
}

// A node's packets would go to another machine, and nobody would be told.
TEST_CASE("peer table: an address is not free while another peer has it") {
    PeerTable peers(status_of({node(1, "fd12::1")}));
    CHECK(peers.check_free(node(1, "fd12::1")));
    CHECK(peers.check_free(node(2, "fd12::2")));
    const auto refused = peers.check_free(node(2, "fd12::1"));
    REQUIRE(!refused);
    CHECK(refused.error().code == ErrorCode::Conflict);
    CHECK(refused.error().text().contains("fd12::1 is the address of another"));

    peers.put(node(3, "fd12::3"));  // our own change counts as what was read
    CHECK(!peers.check_free(node(2, "fd12::3")));
    peers.put(node(3, "fd12::4"));
    CHECK(peers.check_free(node(2, "fd12::3")));
}

// A revoked node's address could never be given back to its successor.
TEST_CASE("peer table: a peer that is removed has no address, and takes nobody else's with it") {
    PeerTable peers(status_of({node(1, "fd12::1"), node(2, "fd12::2")}));
    peers.remove(node(1, "fd12::1").key);
    peers.remove(node(1, "fd12::1").key);
    CHECK(!peers.contains(node(1, "fd12::1").key));
    CHECK(peers.check_free(node(3, "fd12::1")));
    CHECK(!peers.check_free(node(3, "fd12::2")));
}

// A tunnel that lives would be cut at a join.
TEST_CASE("peer table: a peer that was made anew has shaken no hands, others have") {
    PeerTable peers(status_of({node(1, "fd12::1"), node(2, "fd12::2")}));
    peers.put(node(1, "fd12::1"));
    CHECK(peers.contains(node(1, "fd12::1").key));
    CHECK(!peers.last_handshake(node(1, "fd12::1").key));
    CHECK(peers.last_handshake(node(2, "fd12::2").key) == noon);
    CHECK(!peers.last_handshake(node(3, "fd12::3").key));
}

// A node would be sent to where it was yesterday.
TEST_CASE("peer table: a node's peer names no endpoint") {
    CHECK(!peer_of(node(1, "fd12::1")).endpoint);
    CHECK(peer_of(node(1, "fd12::1")).allowed_ips == std::vector{*IpNetwork::parse("fd12::1/128")});
}
