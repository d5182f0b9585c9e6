#include "core/overlay_state.h"

#include <doctest/doctest.h>

#include "fakes/overlay_kernel.h"

using namespace fortros;

using Kind = OverlayChange::Kind;

static const OrgPrefix prefix = *OrgPrefix::parse("fd12:3456:789a::/48");
static const IpAddress own = *IpAddress::parse("fd12:3456:789a::a");

static PublicKey key(std::uint8_t number) {
    PublicKey key;
    key.bytes.fill(number);
    return key;
}

static const PublicKey node = key(99);

static MeshPeer mesh_peer(std::uint8_t number, Role role) {
    return {.key = key(number),
            .role = role,
            .overlay_address = *IpAddress::parse("fd12:3456:789a::b" + std::to_string(number)),
            .endpoints = {*Endpoint::parse("192.0.2." + std::to_string(number) + ":51820")}};
}

static OverlayPlan plan_for(const std::vector<MeshPeer>& peers, OverlayOptions options = {}) {
    return make_overlay_plan(prefix, own, peers, options);
}

static const std::vector<MeshPeer> two_lighthouses_and_a_node = {
    mesh_peer(1, Role::Gateway), mesh_peer(2, Role::Lighthouse), mesh_peer(3, Role::Node)};

// Brings the kernel to the plan; the changes that it took.
static std::vector<OverlayChange> apply(OverlayKernel& kernel, OverlayPlan plan) {
    keep_lighthouse_interfaces(plan, kernel.interfaces);
    auto changes = difference(plan, node, kernel.interfaces);
    for (const OverlayChange& change : changes) {
        const auto applied = kernel.apply(change);
        INFO(change.text());
        REQUIRE_MESSAGE(applied, applied.error().text());
    }
    return changes;
}

static const InterfaceState& interface_towards(const OverlayKernel& kernel, std::uint8_t number) {
    for (const InterfaceState& state : kernel.interfaces)
        for (const WireGuardPeerStatus& peer : state.wireguard.peers)
            if (peer.peer.key == key(number)) return state;
    FAIL("no interface has the peer");
    return kernel.interfaces.front();
}

static std::vector<Kind> kinds(const std::vector<OverlayChange>& changes) {
    std::vector<Kind> kinds;
    for (const OverlayChange& change : changes) kinds.push_back(change.kind);
    return kinds;
}

// A new node would have no overlay, or an incomplete one.
TEST_CASE("an empty kernel gets the whole plan, in an order that the kernel accepts") {
    OverlayKernel kernel(node, own);
    apply(kernel, plan_for(two_lighthouses_and_a_node, {.listen_port = 51820, .mtu = 1380}));
    REQUIRE(kernel.interfaces.size() == 3);
    for (const InterfaceState& state : kernel.interfaces) {
        CHECK(state.up);
        CHECK(state.mtu == 1380);
        CHECK(state.wireguard.public_key == node);
        for (const RouteState& route : state.routes) CHECK(route.source == own);
    }
    CHECK(kernel.interfaces[0].wireguard.listen_port == 51820);
    CHECK(kernel.interfaces[0].addresses == std::vector{IpNetwork::host(own)});
    CHECK(kernel.interfaces[0].routes.size() == 2);
    CHECK(kernel.interfaces[1].routes.size() == 2);
}

// The tunnel would blink each time the real root, or a retry, applies what is there already.
TEST_CASE("the same plan a second time is no change") {
    OverlayKernel kernel(node, own);
    apply(kernel, plan_for(two_lighthouses_and_a_node));
    CHECK(apply(kernel, plan_for(two_lighthouses_and_a_node)).empty());
}

// Every tunnel would be taken down and made anew because a gateway lists its peers in another order.
TEST_CASE("lighthouses in another order keep their interfaces and change metrics alone") {
    OverlayKernel kernel(node, own);
    apply(kernel, plan_for({mesh_peer(1, Role::Gateway), mesh_peer(2, Role::Lighthouse)}));
    const auto changes =
        apply(kernel, plan_for({mesh_peer(2, Role::Lighthouse), mesh_peer(1, Role::Gateway)}));
    CHECK(kinds(changes) ==
          std::vector{Kind::AddRoute, Kind::AddRoute, Kind::RemoveRoute, Kind::RemoveRoute});
    CHECK(interface_towards(kernel, 1).wireguard.name == "fortros-lh0");
    CHECK(interface_towards(kernel, 2).wireguard.name == "fortros-lh1");
    CHECK(apply(kernel, plan_for({mesh_peer(2, Role::Lighthouse), mesh_peer(1, Role::Gateway)}))
              .empty());
}

// A new lighthouse that is listed first would push the old one, which works, off its interface.
TEST_CASE("a new lighthouse takes a free interface") {
    OverlayKernel kernel(node, own);
    apply(kernel, plan_for({mesh_peer(1, Role::Gateway)}));
    const unsigned ifindex = interface_towards(kernel, 1).wireguard.ifindex;
    apply(kernel, plan_for({mesh_peer(2, Role::Lighthouse), mesh_peer(1, Role::Gateway)}));
    CHECK(interface_towards(kernel, 1).wireguard.ifindex == ifindex);
    CHECK(interface_towards(kernel, 1).wireguard.name == "fortros-lh0");
    CHECK(interface_towards(kernel, 2).wireguard.name == "fortros-lh1");
}

// Packets would go on to a lighthouse that the org has given up.
TEST_CASE("a lighthouse that is gone loses its interface, after everything else is in place") {
    OverlayKernel kernel(node, own);
    apply(kernel, plan_for({mesh_peer(1, Role::Gateway), mesh_peer(2, Role::Lighthouse)}));
    const auto changes = apply(kernel, plan_for({mesh_peer(2, Role::Lighthouse)}));
    REQUIRE_FALSE(changes.empty());
    CHECK(changes.back().kind == Kind::RemoveInterface);
    CHECK(changes.back().interface == "fortros-lh0");
    CHECK(kernel.interfaces.size() == 2);
    CHECK(apply(kernel, plan_for({mesh_peer(2, Role::Lighthouse)})).empty());
}

// A route that is missing, wrong or left over sends packets to nowhere.
TEST_CASE("routes are mended one by one") {
    OverlayKernel kernel(node, own);
    const auto plan = plan_for(two_lighthouses_and_a_node);
    apply(kernel, plan);
    auto& routes = kernel.interfaces[0].routes;
    const IpNetwork stale = *IpNetwork::parse("fd12:3456:789a::dead/128");
    routes.erase(routes.begin());
    routes.push_back({stale, 256, own});
    const auto changes = apply(kernel, plan);
    CHECK(kinds(changes) == std::vector{Kind::AddRoute, Kind::RemoveRoute});
    CHECK(changes[1].network == stale);
}

// A route keeps no source when its address was once taken away; answers would then leave with an
// underlay address, and every peer would drop them.
TEST_CASE("a route that has lost its source is made again") {
    OverlayKernel kernel(node, own);
    const auto plan = plan_for({});
    apply(kernel, plan);
    kernel.interfaces[0].routes[0].source = std::nullopt;
    CHECK(kinds(apply(kernel, plan)) == std::vector{Kind::RemoveRoute, Kind::AddRoute});
    CHECK(kernel.interfaces[0].routes[0].source == own);
}

// An admin's own addresses and routes on the interface would vanish.
TEST_CASE("what is outside the org's prefix stays") {
    OverlayKernel kernel(node, own);
    const auto plan = plan_for({});
    apply(kernel, plan);
    kernel.interfaces[0].addresses.push_back(*IpNetwork::parse("fe80::1/64"));
    for (const auto* wider : {"fd00::/8", "fd12:3456:789a::/47"})
        kernel.interfaces[0].routes.push_back({*IpNetwork::parse(wider), 1024, std::nullopt});
    CHECK(apply(kernel, plan).empty());
}

// A node with a new key would keep answering under its old address.
TEST_CASE("an overlay address of before goes after the new one is in place") {
    OverlayKernel kernel(node, own);
    apply(kernel, plan_for({}));
    auto& addresses = kernel.interfaces[0].addresses;
    addresses = {*IpNetwork::parse("fd12:3456:789a::1/128")};
    CHECK(kinds(apply(kernel, plan_for({}))) == std::vector{Kind::AddAddress, Kind::RemoveAddress});
    CHECK(addresses == std::vector{IpNetwork::host(own)});
}

// An interface that somebody else had a hand in would stay wrong.
TEST_CASE("key, port, MTU and an interface that is down are mended") {
    OverlayKernel kernel(node, own);
    const auto plan = plan_for({}, {.listen_port = 51820});
    apply(kernel, plan);
    InterfaceState& state = kernel.interfaces[0];
    state.mtu = 1500;
    state.up = false;
    state.wireguard.public_key = key(1);
    state.wireguard.listen_port = 1;
    CHECK(kinds(apply(kernel, plan)) ==
          std::vector{Kind::SetMtu, Kind::SetPrivateKey, Kind::SetListenPort, Kind::BringUp});
    CHECK(apply(kernel, plan).empty());
}

// A changed port ends every session through the NATs on the way.
TEST_CASE("the port of an adopted interface is kept when the plan names none") {
    OverlayKernel kernel(node, own);
    apply(kernel, plan_for({}, {.listen_port = 51820}));
    CHECK(apply(kernel, plan_for({}, {.listen_port = 0})).empty());
    CHECK(kernel.interfaces[0].wireguard.listen_port == 51820);
}

// The log could not say what was done to the network.
TEST_CASE("a change says what it does") {
    OverlayKernel kernel(node, own);
    const auto changes = apply(kernel, plan_for({mesh_peer(3, Role::Node)}));
    REQUIRE(changes.size() == 7);
    CHECK(changes[0].text() == "fortros0: create, MTU 1420");
    CHECK(changes[1].text() == "fortros0: set the node's key");
    CHECK(changes[2].text() == "fortros0: add peer " + key(3).base64());
    CHECK(changes[3].text() == "fortros0: bring up");
    CHECK(changes[4].text() == "fortros0: add address fd12:3456:789a::a/128");
    CHECK(changes[5].text() == "fortros0: add route fd12:3456:789a::b3/128 metric 256");
}
