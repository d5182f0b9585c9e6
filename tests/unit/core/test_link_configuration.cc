#include "core/link_configuration.h"

#include <doctest/doctest.h>

using namespace fortros;

static IpAddress address(std::string_view text) { return *IpAddress::parse(text); }
static IpNetwork network(std::string_view text) { return *IpNetwork::parse(text); }

// The node would have an address and no way out, or one that outlives its lease.
TEST_CASE("a lease becomes an address with its lifetime and routes from it") {
    const DhcpLease lease{.address = network("192.0.2.77/24"),
                          .routes = {{network("0.0.0.0/0"), address("192.0.2.1")}},
                          .mtu = 1400,
                          .lifetime = std::chrono::seconds{600}};
    const LinkConfiguration got = configuration_of(lease, 1024);
    CHECK(got.by == ConfiguredBy::Dhcp);
    CHECK(got.metric == 1024);
    CHECK(got.mtu == 1400);
    CHECK(got.addresses == std::vector<AddressSetting>{{.network = network("192.0.2.77/24"),
                                                        .broadcast = address("192.0.2.255"),
                                                        .lifetime = std::chrono::seconds{600}}});
    CHECK(got.routes == std::vector<RouteSetting>{{.destination = network("0.0.0.0/0"),
                                                   .gateway = address("192.0.2.1"),
                                                   .source = address("192.0.2.77")}});
}

// Google's and other clouds: without this the kernel refuses the default route.
TEST_CASE("a router outside of the network is taken to be on the link") {
    const DhcpLease lease{.address = network("10.128.0.7/32"),
                          .routes = {{network("0.0.0.0/0"), address("10.128.0.1")},
                                     {network("10.128.0.1/32"), address("0.0.0.0")}}};
    const LinkConfiguration got = configuration_of(lease, 1024);
    REQUIRE(got.routes.size() == 2);
    // The route that is on the link comes first, whatever the server's order.
    CHECK(got.routes[0].destination == network("10.128.0.1/32"));
    CHECK_FALSE(got.routes[0].gateway.has_value());
    CHECK(got.routes[0].reach == GatewayReach::ByAddress);
    CHECK(got.routes[1].gateway == address("10.128.0.1"));
    CHECK(got.routes[1].reach == GatewayReach::OnLink);
    CHECK_FALSE(got.addresses[0].broadcast.has_value());
}

// The kernel refuses a route by way of ourselves: a boot would complain of it in vain.
TEST_CASE("a route by way of the leased address itself is left out") {
    const DhcpLease lease{.address = network("192.0.2.77/24"),
                          .routes = {{network("0.0.0.0/0"), address("192.0.2.77")},
                                     {network("10.0.0.0/8"), address("192.0.2.1")}}};
    const LinkConfiguration got = configuration_of(lease, 1024);
    REQUIRE(got.routes.size() == 1);
    CHECK(got.routes[0].gateway == address("192.0.2.1"));
}

// A server's word about the broadcast address counts; otherwise it is the network's last address.
TEST_CASE("the broadcast address is the server's or the last, and none between two hosts") {
    DhcpLease lease{.address = network("10.1.2.3/22"), .broadcast = address("10.1.0.0")};
    CHECK(configuration_of(lease, 0).addresses[0].broadcast == address("10.1.0.0"));
    lease.broadcast.reset();
    CHECK(configuration_of(lease, 0).addresses[0].broadcast == address("10.1.3.255"));
    lease.address.length = 30;
    CHECK(configuration_of(lease, 0).addresses[0].broadcast == address("10.1.2.3"));
    lease.address.length = 31;
    CHECK_FALSE(configuration_of(lease, 0).addresses[0].broadcast.has_value());
}

// A machine without DHCP gets exactly what its image says.
TEST_CASE("static settings become addresses for ever and a default route for each gateway") {
    Settings settings;
    settings.static_addresses = {network("192.0.2.7/24"), network("2001:db8::7/64")};
    settings.static_gateways = {address("192.0.2.1"), address("fe80::1"), address("198.51.100.1")};
    const LinkConfiguration got = static_configuration_of(settings, 1025);
    CHECK(got.by == ConfiguredBy::Settings);
    CHECK(got.metric == 1025);
    REQUIRE(got.addresses.size() == 2);
    CHECK(got.addresses[0].lifetime == endless_lease);
    CHECK(got.addresses[0].broadcast == address("192.0.2.255"));
    CHECK_FALSE(got.addresses[1].broadcast.has_value());
    REQUIRE(got.routes.size() == 3);
    CHECK(got.routes[0].destination == network("0.0.0.0/0"));
    CHECK(got.routes[0].reach == GatewayReach::ByAddress);
    CHECK(got.routes[1].destination == network("::/0"));
    CHECK(got.routes[1].gateway == address("fe80::1"));
    CHECK(got.routes[2].reach == GatewayReach::OnLink);
    CHECK_FALSE(got.mtu.has_value());
}
