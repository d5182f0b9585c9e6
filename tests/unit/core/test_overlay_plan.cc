#include "core/overlay_plan.h"

#include <doctest/doctest.h>

using namespace fortros;

static const OrgPrefix prefix = *OrgPrefix::parse("fd12:3456:789a::/48");

static IpAddress address(std::string_view text) { return *IpAddress::parse(text); }
static IpNetwork network(std::string_view text) { return *IpNetwork::parse(text); }

static const IpAddress own = address("fd12:3456:789a::a");

static MeshPeer mesh_peer(std::uint8_t number, Role role) {
    MeshPeer peer{.role = role,
                  .overlay_address = address("fd12:3456:789a::b" + std::to_string(number)),
                  .endpoints = {*Endpoint::parse("192.0.2." + std::to_string(number) + ":51820")},
                  .keepalive_seconds = 25};
    peer.key.bytes.fill(number);
    return peer;
}

static OverlayPlan plan_for(const std::vector<MeshPeer>& peers) {
    return make_overlay_plan(prefix, own, peers, {.listen_port = 51820, .mtu = 1380});
}

// With two lighthouses on one interface every packet of the second one would be dropped.
TEST_CASE("each lighthouse and gateway has an interface of its own for the whole prefix") {
    const auto plan = plan_for({mesh_peer(1, Role::Gateway), mesh_peer(2, Role::Lighthouse)});
    REQUIRE(plan.interfaces.size() == 3);
    CHECK(plan.address == own);
    CHECK(plan.prefix == prefix);
    for (std::uint8_t number : {1, 2}) {
        const InterfacePlan& lighthouse = plan.interfaces[number];
        CHECK(lighthouse.name == "fortros-lh" + std::to_string(number - 1));
        CHECK(lighthouse.addresses.empty());
        CHECK(lighthouse.listen_port == 0);
        CHECK(lighthouse.mtu == 1380);
        REQUIRE(lighthouse.peers.size() == 1);
        CHECK(lighthouse.peers[0].key.bytes[0] == number);
        CHECK(lighthouse.peers[0].allowed_ips == std::vector{prefix.network()});
        CHECK(lighthouse.peers[0].keepalive_seconds == 25);
    }
}

// Other nodes would not be reached, or by a detour over a lighthouse for ever.
TEST_CASE("nodes are direct peers with their own address and route") {
    const auto plan = plan_for({mesh_peer(1, Role::Node), mesh_peer(2, Role::Node)});
    REQUIRE(plan.interfaces.size() == 1);
    const InterfacePlan& direct = plan.interfaces[0];
    CHECK(direct.name == "fortros0");
    CHECK(direct.listen_port == 51820);
    CHECK(direct.addresses == std::vector{network("fd12:3456:789a::a/128")});
    REQUIRE(direct.peers.size() == 2);
    CHECK(direct.peers[0].allowed_ips == std::vector{network("fd12:3456:789a::b1/128")});
    CHECK(direct.peers[0].endpoint == Endpoint::parse("192.0.2.1:51820"));
    CHECK(direct.routes ==
          std::vector<RoutePlan>{{network("fd12:3456:789a::b1/128"), host_route_metric},
                                 {network("fd12:3456:789a::b2/128"), host_route_metric},
                                 {prefix.network(), direct_prefix_metric}});
}

// Traffic for the rest of the overlay would not go through the lighthouse that is listed first.
TEST_CASE("the first lighthouse has the best route to the prefix, the direct interface the worst") {
    const auto plan = plan_for({mesh_peer(1, Role::Gateway), mesh_peer(2, Role::Lighthouse)});
    const auto metric = [&](std::size_t interface) {
        for (const RoutePlan& route : plan.interfaces[interface].routes)
            if (route.destination == prefix.network()) return route.metric;
        return 0U;
    };
    CHECK(metric(1) < metric(2));
    CHECK(metric(2) < metric(0));
    CHECK(plan.interfaces[1].routes[0] ==
          RoutePlan{network("fd12:3456:789a::b1/128"), host_route_metric});
}

// A tunnel whose outer packets go through itself carries nothing.
TEST_CASE("an endpoint inside the overlay is passed over") {
    auto gateway = mesh_peer(1, Role::Gateway);
    gateway.endpoints.insert(gateway.endpoints.begin(),
                             *Endpoint::parse("[fd12:3456:789a::1]:51820"));
    CHECK(plan_for({gateway}).interfaces[1].peers[0].endpoint ==
          Endpoint::parse("192.0.2.1:51820"));
    gateway.endpoints.pop_back();
    CHECK(plan_for({gateway}).interfaces[1].peers[0].endpoint == std::nullopt);
}

// The same key on two interfaces makes the endpoint flap: half of all packets would be lost.
TEST_CASE("a key is peered once, and a node never with itself") {
    auto again = mesh_peer(1, Role::Node);
    auto self = mesh_peer(3, Role::Node);
    self.overlay_address = own;
    const auto plan = plan_for({mesh_peer(1, Role::Lighthouse), again, self});
    REQUIRE(plan.interfaces.size() == 2);
    CHECK(plan.interfaces[0].peers.empty());
}

// A gateway that answers nonsense could make a node create interfaces without end.
TEST_CASE("the number of lighthouse interfaces is bounded") {
    std::vector<MeshPeer> peers;
    for (std::uint8_t number = 1; number <= 100; ++number)
        peers.push_back(mesh_peer(number, Role::Lighthouse));
    CHECK(plan_for(peers).interfaces.size() == 1 + lighthouse_limit);
}

// The maintainer would adopt something else than what preboot has made.
TEST_CASE("an interface survives the hand-off") {
    auto without_endpoint = mesh_peer(3, Role::Node);
    without_endpoint.endpoints.clear();
    without_endpoint.keepalive_seconds = 0;
    const auto plan =
        plan_for({mesh_peer(1, Role::Gateway), mesh_peer(2, Role::Node), without_endpoint});
    for (const InterfacePlan& interface : plan.interfaces) {
        const auto text = to_json(interface).dump();
        const auto json = Json::parse(text);
        REQUIRE(json);
        const auto read = interface_plan_from(*json, "interface");
        REQUIRE(read);
        CHECK(*read == interface);
    }
}

// A hand-off that was tampered with could make the maintainer change another interface, or an
// impossible value could fail later, in the kernel's words and far from its cause.
TEST_CASE("an interface that cannot be meant is refused by the name of its member") {
    const auto error_of = [](std::string_view member, std::string_view value) {
        Json json = to_json(plan_for({mesh_peer(1, Role::Node)}).interfaces[0]);
        Json changed;
        for (const auto& [name, old] : *json.object())
            changed.set(name, name == member ? *Json::parse(value) : old);
        const auto read = interface_plan_from(changed, "interfaces[0]");
        return read ? std::string("accepted") : read.error().text();
    };
    CHECK(error_of("name", "\"eth0\"") == "interfaces[0]: 'name' is no overlay interface's");
    CHECK(error_of("name", "\"fortros-lh\"").contains("'name'"));
    CHECK(error_of("name", "\"fortros-lh1x\"").contains("'name'"));
    CHECK(error_of("name", "\"fortros-lh123456\"").contains("'name'"));
    CHECK(error_of("mtu", "1279").contains("'mtu'"));
    CHECK(error_of("listen_port", "65536").contains("'listen_port'"));
    CHECK(error_of("addresses", "[\"fd12::1/129\"]").contains("'addresses'"));
    CHECK(error_of("addresses", "[\"10.0.0.1/32\"]").contains("'addresses'"));
    CHECK(error_of("addresses", "[7]").contains("'addresses'"));
    CHECK(error_of("routes", R"([{"destination":"fd12::1/48","metric":1}])") ==
          "interfaces[0].routes[0]: 'destination' is not an IPv6 network");
    CHECK(error_of("routes", R"([{"destination":"10.0.0.0/8","metric":1}])").contains("'dest"));
    CHECK(error_of("routes", R"([{"destination":"fd12::/48","metric":0}])").contains("'metric'"));
    CHECK(
        error_of("peers", R"([{"public_key":"AA==","allowed_ips":[]}])").contains("'public_key'"));
    CHECK(error_of("peers", "[7]").contains("peers[0]"));
}

// An interface that is not ours would be changed or taken down, or one of ours never found again.
TEST_CASE("overlay interfaces are known by their names") {
    for (const char* name : {"fortros0", "fortros1", "fortros12", "fortros-lh0", "fortros-lh15"})
        CHECK_MESSAGE(is_overlay_interface(name), name);
    for (const char* name : {"fortros", "fortros-lh", "fortros1x", "fortros-1", "eth0", "wg0", ""})
        CHECK_MESSAGE(!is_overlay_interface(name), name);
    CHECK(is_lighthouse_interface("fortros-lh0"));
    CHECK(!is_lighthouse_interface("fortros0"));
}
