#include "mesh/endpoints.h"

#include <doctest/doctest.h>

using namespace fortros;
using namespace fortros::mesh;

namespace {

Endpoint at(const char* text) { return *Endpoint::parse(text); }
IpAddress address(const char* text) { return *IpAddress::parse(text); }
const OrgPrefix prefix = *OrgPrefix::parse("fd12:3456:789a::/48");

}  // namespace

// A node behind a symmetric NAT would try for ever to meet another one.
TEST_CASE("the kind of NAT follows from where others see the node") {
    const std::vector mine = {address("192.168.1.5")};
    const auto nat = [&](std::vector<Sight> sights) {
        return whereabouts(mine, 51820, sights).nat;
    };
    CHECK(nat({}) == Nat::Unknown);
    CHECK(nat({{at("192.168.1.5:51820"), false}}) == Nat::None);
    CHECK(nat({{at("203.0.113.1:4000"), true}}) == Nat::Unknown);
    CHECK(nat({{at("203.0.113.1:4000"), true}, {at("203.0.113.1:4000"), true}}) == Nat::Cone);
    CHECK(nat({{at("203.0.113.1:4000"), true}, {at("203.0.113.1:4001"), true}}) == Nat::Symmetric);
    // Lighthouses see other ports of the same node: that says nothing.
    CHECK(nat({{at("203.0.113.1:1"), false}, {at("203.0.113.1:2"), false}}) == Nat::Unknown);
}

// With a neighbour on its LAN a node would claim to have no NAT, and be asked again and again by nodes
// that it can never meet.
TEST_CASE("what a neighbour on the link sees says nothing of the NAT at its end") {
    const std::vector mine = {address("192.168.1.5")};
    const Sight neighbour{at("192.168.1.5:51820"), true};
    const std::vector<Sight> sights = {
        neighbour, {at("203.0.113.1:4000"), true}, {at("203.0.113.1:4001"), true}};
    CHECK(whereabouts(mine, 51820, sights).nat == Nat::Symmetric);
    CHECK(whereabouts(mine, 51820, std::vector{neighbour}).nat == Nat::Unknown);
}

// A node behind a NAT would be known only by an address that means something else elsewhere.
TEST_CASE("a node tells where it was seen before where it thinks it is") {
    const std::vector mine = {address("192.168.1.5")};
    const std::vector<Sight> sights = {{at("203.0.113.1:4000"), true},
                                       {at("203.0.113.1:7"), false}};
    const auto told = whereabouts(mine, 51820, sights).candidates;
    REQUIRE(told.size() == 3);
    CHECK(told[0] == at("203.0.113.1:4000"));
    CHECK(told[1] == at("203.0.113.1:51820"));
    CHECK(told[2] == at("192.168.1.5:51820"));
}

// A tunnel would be sent through itself, or to the node's own address in another house.
TEST_CASE("endpoints in the overlay, of nobody and of this node itself are not tried") {
    const std::vector mine = {address("192.168.1.5")};
    const std::vector told = {at("[fd12:3456:789a::1]:51820"), at("127.0.0.1:51820"),
                              at("224.0.0.1:51820"), at("192.168.1.5:51820"),
                              at("203.0.113.9:51820")};
    CHECK(tries({.told = told}, mine, {}, prefix) == std::vector{at("203.0.113.9:51820")});
}

// Two nodes of one house would talk by way of the router's public address, or not at all.
TEST_CASE("the link is tried first, then the same network, then public addresses") {
    const std::vector mine = {address("192.168.1.5")};
    const std::vector told = {at("203.0.113.9:51820"), at("192.168.1.6:51820"),
                              at("10.0.0.7:51820")};
    const std::vector expected = {at("192.168.1.9:51820"), at("192.168.1.6:51820"),
                                  at("203.0.113.9:51820"), at("10.0.0.7:51820")};
    CHECK(tries({.lan = at("192.168.1.9:51820"), .told = told}, mine, {}, prefix) == expected);
    // Behind one NAT any private address may be the same network.
    const std::vector own = {at("203.0.113.9:4000")};
    CHECK(tries({.told = told}, mine, own, prefix).front() == at("192.168.1.6:51820"));
    CHECK(tries({.told = told}, mine, own, prefix)[1] == at("10.0.0.7:51820"));
}
