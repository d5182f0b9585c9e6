// Two members with one address: who gets it.
#include "gateway/address_claims.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace fortros;
using namespace fortros::gateway;

static NodeRecord node(std::uint8_t number, std::string_view address, int enrolled) {
    NodeRecord node{.overlay_address = *IpAddress::parse(address),
                    .enrolled = WallTime{std::chrono::seconds{enrolled}}};
    node.key.bytes.fill(number);
    return node;
}

static std::vector<PublicKey> keys_of(const std::vector<const NodeRecord*>& nodes) {
    std::vector<PublicKey> keys;
    for (const NodeRecord* node : nodes) keys.push_back(node->key);
    return keys;
}

// Everybody would be without a tunnel for one record that is wrong.
TEST_CASE("address claims: members who claim what nobody else does are peers") {
    const std::vector nodes{node(1, "fd12::1", 10), node(2, "fd12::2", 20)};
    const auto claims = settle_address_claims(nodes, {});
    CHECK(keys_of(claims.members) == std::vector{nodes[0].key, nodes[1].key});
    CHECK(claims.refused.empty());
}

// A registry that somebody has tampered with would move a node's address, and all that is sent to
// it, to another key.
TEST_CASE("address claims: an address stays with who enrolled first, whatever the order") {
    std::vector nodes{node(1, "fd12::1", 10), node(2, "fd12::1", 20), node(3, "fd12::1", 5)};
    for (int i = 0; i < 6; ++i) {
        const auto claims = settle_address_claims(nodes, {});
        REQUIRE(claims.members.size() == 1);
        CHECK(claims.members.front()->key == node(3, "fd12::1", 5).key);
        CHECK(claims.refused.size() == 2);
        std::ranges::next_permutation(nodes, {}, &NodeRecord::key);
    }
}

// A machine that was replaced would lock out its successor.
TEST_CASE("address claims: who is no member claims nothing") {
    auto gone = node(1, "fd12::1", 10);
    gone.retired = gone.enrolled;
    const std::vector nodes{gone, node(2, "fd12::1", 20)};
    const auto claims = settle_address_claims(nodes, {});
    CHECK(keys_of(claims.members) == std::vector{nodes[1].key});
    CHECK(claims.refused.empty());
}

// A node could answer in the gateway's name to whoever sends by the gateway.
TEST_CASE("address claims: the gateway's own addresses are nobody's") {
    const std::vector nodes{node(1, "fd12::1", 10), node(2, "fd12::2", 20)};
    const std::vector own{*IpAddress::parse("fd12::2")};
    const auto claims = settle_address_claims(nodes, own);
    CHECK(keys_of(claims.members) == std::vector{nodes[0].key});
    CHECK(keys_of(claims.refused) == std::vector{nodes[1].key});
}
