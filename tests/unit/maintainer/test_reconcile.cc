#include "maintainer/reconcile.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "core/crypto.h"

using namespace fortros;

namespace {

const OrgPrefix prefix = *OrgPrefix::parse("fd12:3456:789a::/48");

PublicKey key_of(std::uint64_t seed) {
    SeededRandom random(seed);
    return *crypto::public_key_of(crypto::make_private_key(random));
}
Endpoint endpoint(std::string_view text) { return *Endpoint::parse(text); }

mesh::WantedPeer peer(std::uint64_t seed, bool routed = true) {
    return {
        .key = key_of(seed), .address = overlay_address(prefix, key_of(seed)), .routed = routed};
}
mesh::WantedLighthouse lighthouse(std::uint64_t seed, unsigned rank) {
    return {.key = key_of(seed),
            .address = overlay_address(prefix, key_of(seed)),
            .keepalive_s = 25,
            .rank = rank};
}

// Made before main(), and so before there is any cryptography.
const OverlaySelf self{
    .address = *IpAddress::parse("fd12:3456:789a::1"), .prefix = prefix, .listen_port = 51820};

// A kernel that has been brought to a plan.
std::vector<InterfaceState> kernel_of(const OverlayPlan& plan) {
    std::vector<InterfaceState> have;
    for (const InterfacePlan& interface : plan.interfaces) {
        InterfaceState state{.wireguard = {.ifindex = static_cast<unsigned>(have.size() + 10),
                                           .name = interface.name,
                                           .public_key = key_of(1),
                                           .listen_port = 51820},
                             .mtu = interface.mtu,
                             .up = true,
                             .addresses = interface.addresses};
        for (const auto& peer : interface.peers) state.wireguard.peers.push_back({peer});
        for (const auto& route : interface.routes)
            state.routes.push_back({route.destination, route.metric, plan.address});
        have.push_back(std::move(state));
    }
    return have;
}

bool has_route(const InterfacePlan& interface, const IpNetwork& to, std::uint32_t metric) {
    return std::ranges::contains(interface.routes, RoutePlan{to, metric});
}

}  // namespace

// Packets would go nowhere, or to a peer that drops them.
TEST_CASE("reconcile: a peer is routed only as long as its path works") {
    const auto plan = plan_of({.peers = {peer(2), peer(3, false)}}, self);
    REQUIRE(plan.interfaces.size() == 1);
    const InterfacePlan& direct = plan.interfaces[0];
    CHECK(direct.name == "fortros0");
    CHECK(direct.peers.size() == 2);
    CHECK(direct.peers[0].allowed_ips == std::vector{IpNetwork::host(peer(2).address)});
    CHECK(has_route(direct, IpNetwork::host(peer(2).address), host_route_metric));
    CHECK(!has_route(direct, IpNetwork::host(peer(3).address), host_route_metric));
    // So that probes that are bound to it leave.
    CHECK(has_route(direct, prefix.network(), direct_prefix_metric));
}

// The kernel does not notice a dead lighthouse: the better route must be there, and rank first.
TEST_CASE("reconcile: lighthouses have an interface each, and routes by rank") {
    const auto plan = plan_of({.lighthouses = {lighthouse(2, 0), lighthouse(3, 1)}}, self);
    REQUIRE(plan.interfaces.size() == 3);
    CHECK(has_route(plan.interfaces[1], prefix.network(), lighthouse_metric_base));
    CHECK(has_route(plan.interfaces[2], prefix.network(), lighthouse_metric_base + 1));
    CHECK(has_route(plan.interfaces[2], IpNetwork::host(lighthouse(3, 1).address),
                    host_route_metric));
    CHECK(plan.interfaces[2].peers[0].allowed_ips == std::vector{prefix.network()});
    CHECK(plan.interfaces[2].peers[0].keepalive_seconds == 25);
}

// To the kernel the same key towards one host from two ports is an endpoint that flaps.
TEST_CASE("reconcile: a lighthouse is no direct peer as well") {
    const auto plan = plan_of({.peers = {peer(2)}, .lighthouses = {lighthouse(2, 0)}}, self);
    CHECK(plan.interfaces[0].peers.empty());
}

// Each would send to the port of the other's members, where nobody knows it.
TEST_CASE("reconcile: two lighthouses meet on a port of their own") {
    OverlaySelf one = self;
    one.key = key_of(1);
    one.lighthouses = {key_of(2)};
    mesh::WantedOverlay wanted{.lighthouses = {lighthouse(2, 0), lighthouse(3, 1)}};
    for (auto& other : wanted.lighthouses) other.endpoint = endpoint("192.0.2.1:51820");
    wanted = among_lighthouses(wanted, one);
    const auto plan = plan_of(wanted, one);
    const std::uint16_t port = port_between(key_of(2), key_of(1));
    CHECK(port >= 49152);
    CHECK(port == port_between(key_of(1), key_of(2)));
    CHECK(plan.interfaces[1].listen_port == port);
    CHECK(plan.interfaces[1].peers[0].endpoint == Endpoint{endpoint("192.0.2.1:1").address, port});
    CHECK(plan.interfaces[2].listen_port == 0);  // a gateway
    CHECK(plan.interfaces[2].peers[0].endpoint == endpoint("192.0.2.1:51820"));
}

TEST_CASE("reconcile: what is as wanted gets no change") {
    const auto plan =
        plan_of({.peers = {peer(2)}, .lighthouses = {lighthouse(3, 0), lighthouse(4, 1)}}, self);
    CHECK(difference(plan, key_of(1), kernel_of(plan)).empty());
}

// A peer that is removed before its route takes the packets of that moment with it.
TEST_CASE("reconcile: a peer goes after its route") {
    const auto before = kernel_of(plan_of({.peers = {peer(2)}}, self));
    const auto changes = difference(plan_of({}, self), key_of(1), before);
    REQUIRE(changes.size() == 2);
    CHECK(changes[0].kind == OverlayChange::Kind::RemoveRoute);
    CHECK(changes[1].kind == OverlayChange::Kind::ChangePeer);
}

// The kernel learns where a peer is from its packets: to set what was true once would undo that.
TEST_CASE("reconcile: an endpoint is set when the mesh changes its mind, and left alone else") {
    mesh::WantedOverlay wanted{.peers = {peer(2)}};
    wanted.peers[0].endpoint = endpoint("192.0.2.1:1");
    auto have = kernel_of(plan_of(wanted, self));
    have[0].wireguard.peers[0].peer.endpoint = endpoint("192.0.2.9:9");  // roamed
    std::map<PublicKey, Endpoint> told;
    const auto set = [&] {
        const auto changes = endpoint_changes(wanted, have, told);
        REQUIRE(changes.size() == 1);
        CHECK(changes[0].interface == "fortros0");
        CHECK(changes[0].change.set_endpoint);
        CHECK(!changes[0].change.replace_allowed_ips);
        return changes[0].change.peer.endpoint;
    };
    CHECK(set() == endpoint("192.0.2.1:1"));
    CHECK(endpoint_changes(wanted, have, told).empty());
    wanted.peers[0].endpoint = endpoint("192.0.2.2:2");
    CHECK(set() == endpoint("192.0.2.2:2"));
    CHECK(endpoint_changes(wanted, have, told).empty());
    wanted.peers[0].endpoint.reset();
    CHECK(endpoint_changes(wanted, have, told).empty());
    // The path has died, and the same address is tried anew.
    wanted.peers[0].endpoint = endpoint("192.0.2.2:2");
    CHECK(set() == endpoint("192.0.2.2:2"));
    // It is there already.
    wanted.peers[0].endpoint = endpoint("192.0.2.9:9");
    CHECK(endpoint_changes(wanted, have, told).empty());
}

TEST_CASE("reconcile: the mesh is told of every tunnel") {
    auto have = kernel_of(plan_of({.peers = {peer(2)}, .lighthouses = {lighthouse(3, 0)}}, self));
    const WallTime now{std::chrono::seconds{1'800'000'000}};
    auto& status = have[0].wireguard.peers[0];
    status.rx_bytes = 5;
    status.tx_bytes = 7;
    status.last_handshake = now - 3s;
    have[1].wireguard.peers[0].last_handshake = now + 100s;  // the clock was set back
    const auto seen = observation_of(have, now);
    REQUIRE(seen.direct.size() == 1);
    CHECK(seen.direct[0].rx_bytes == 5);
    CHECK(seen.direct[0].tx_bytes == 7);
    CHECK(seen.direct[0].handshake_age == Duration{3s});
    CHECK(seen.direct_port == 51820);
    REQUIRE(seen.lighthouses.size() == 1);
    CHECK(seen.lighthouses[0].handshake_age == Duration{});
}

// A restart would drop every link, and the whole neighbourhood would agree anew.
TEST_CASE("reconcile: peers that the kernel has are taken up by a maintainer that begins") {
    const mesh::WantedOverlay wanted{.peers = {peer(2), peer(3, false)}};
    auto sorted = wanted.peers;
    std::ranges::sort(sorted, {}, &mesh::WantedPeer::key);
    CHECK(peers_in_force(kernel_of(plan_of(wanted, self)), prefix) == sorted);
}

// What goes through a lighthouse would move to another at each start.
TEST_CASE("reconcile: the lighthouses that the kernel has are taken up in its order") {
    const mesh::WantedOverlay wanted{.lighthouses = {lighthouse(4, 0), lighthouse(3, 1)}};
    auto have = kernel_of(plan_of(wanted, self));
    CHECK(lighthouses_in_force(have, prefix) == std::vector{key_of(4), key_of(3)});
    std::ranges::reverse(have);
    CHECK(lighthouses_in_force(have, prefix) == std::vector{key_of(4), key_of(3)});
}

TEST_CASE("reconcile: datagrams go by the interfaces of living lighthouses") {
    mesh::WantedOverlay wanted{.lighthouses = {lighthouse(3, 0), lighthouse(4, 1)}};
    const auto have = kernel_of(plan_of(wanted, self));
    wanted.lighthouses[0].alive = false;
    const auto ways = ways_of(have, wanted);
    CHECK(ways.direct == 10);
    CHECK(ways.lighthouses == std::map<unsigned, PublicKey>{{11, key_of(3)}, {12, key_of(4)}});
    CHECK(ways.preferred == std::vector{key_of(4)});
}

// Others would be told to come to an address that leads nowhere, or into the overlay itself.
TEST_CASE("reconcile: only what others could reach counts as this host's address") {
    const auto address = [](std::string_view text, bool global = true, bool settled = true) {
        return LinkAddress{
            .network = *IpNetwork::parse(text), .global = global, .settled = settled};
    };
    LinkState lan{
        .name = "lan0", .up = true, .carrier = true, .addresses = {address("192.168.7.2/24")}};
    LinkState uplink{
        .name = "eth0",
        .up = true,
        .carrier = true,
        .addresses = {address("fe80::1/64", false), address("2001:db8::7/64"),
                      address("2001:db8::8/64", true, false), address("fd12:3456:789a::1/128")},
        .gateways = {*IpAddress::parse("fe80::ff")}};
    LinkState overlay = uplink, unplugged = lan;
    overlay.name = "fortros0";
    unplugged.carrier = false;
    unplugged.addresses = {address("10.0.0.1/8")};
    CHECK(underlay_of({lan, overlay, unplugged, uplink}, prefix) ==
          std::vector{*IpAddress::parse("2001:db8::7"), *IpAddress::parse("192.168.7.2")});
}
