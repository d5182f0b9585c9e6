#include "core/link_state.h"

#include <doctest/doctest.h>

using namespace fortros;

static IpAddress address(std::string_view text) { return *IpAddress::parse(text); }
static IpNetwork network(std::string_view text) { return *IpNetwork::parse(text); }

static LinkAddress settled(std::string_view text) {
    return {.network = network(text), .global = true, .settled = true};
}

static LinkState a_link() {
    return {.ifindex = 2,
            .name = "eth0",
            .ethernet = true,
            .mac = {0x52, 0x54, 0, 0xa, 0xb, 0xc},
            .up = true,
            .carrier = true};
}

// A tunnel, a port of the host's bridge or a link that the operator excluded would be taken over.
TEST_CASE("only links that the settings allow are used") {
    Settings settings;
    LinkState link = a_link();
    CHECK(reason_to_leave(link, settings).empty());
    link.kind = "veth";
    CHECK(reason_to_leave(link, settings).empty());
    link.kind = "bond";
    CHECK(reason_to_leave(link, settings).empty());
    for (const std::string_view kind : {"wireguard", "tun", "dummy", "vxlan", "ifb"}) {
        CAPTURE(kind);
        link.kind = kind;
        CHECK(reason_to_leave(link, settings) == "a " + std::string(kind) + " interface");
    }
    link = a_link();
    link.is_port = true;
    CHECK(reason_to_leave(link, settings) == "a port of another interface");
    link = a_link();
    link.ethernet = false;
    CHECK(reason_to_leave(link, settings) == "not Ethernet");
    link = a_link();
    settings.interfaces = {"en*"};
    CHECK(reason_to_leave(link, settings) == "not among Interfaces=");
    settings.interfaces = {"en*", "eth0"};
    CHECK(reason_to_leave(link, settings).empty());
    settings.vlans = {{.name = "lan7", .parent = "eth0", .id = 7}};
    CHECK(reason_to_leave(link, settings).empty());
    settings.interfaces = {"*"};
    CHECK(reason_to_leave(link, settings) == "only the parent of a VLAN");
    link.name = "lan7";
    link.kind = "vlan";
    settings.interfaces = {"en*"};
    CHECK(reason_to_leave(link, settings).empty());
}

// The boot would start on an address that nobody can answer to.
TEST_CASE("only settled addresses that reach beyond the link count") {
    LinkState link = a_link();
    LinkAddress tentative = settled("2001:db8::2/64");
    tentative.settled = false;
    LinkAddress link_local = settled("fe80::1/64");
    link_local.global = false;
    link.addresses = {tentative, link_local};
    CHECK(report_of(link, {}).addresses.empty());
    link.addresses.push_back(settled("2001:db8::3/64"));
    link.addresses.push_back(settled("192.0.2.7/24"));
    CHECK(report_of(link, {}).addresses ==
          std::vector{network("192.0.2.7/24"), network("2001:db8::3/64")});
    CHECK(report_of(link, {.discounted = {address("192.0.2.7")}}).addresses ==
          std::vector{network("2001:db8::3/64")});
    link.carrier = false;
    CHECK(report_of(link, {}).addresses.empty());
    link.carrier = true;
    link.up = false;
    CHECK(report_of(link, {}).addresses.empty());
}

// Whoever reads the hand-over would throw it away whole.
TEST_CASE("no more resolvers are told than a hand-over may hold") {
    LinkKnowledge knowledge;
    for (std::uint8_t i = 1; i <= 70; ++i)
        knowledge.resolvers.push_back(address("192.0.2." + std::to_string(i)));
    CHECK(report_of(a_link(), knowledge).resolvers.size() == 64);
}

// The real root could not go on with the lease, and the boot would ask the wrong resolvers.
TEST_CASE("a report holds what lease, routers and kernel know") {
    LinkState link = a_link();
    link.addresses = {settled("192.0.2.7/24")};
    link.gateways = {address("192.0.2.1"), address("fe80::1")};
    const DhcpLease lease{.address = network("192.0.2.7/24"),
                          .resolvers = {address("192.0.2.53"), address("2001:db8::53")},
                          .server = address("192.0.2.1"),
                          .lifetime = std::chrono::seconds{3600},
                          .client_id = {1, 0x52, 0x54, 0, 0xa, 0xb, 0xc}};
    const LinkReport report = report_of(
        link, {.lease = &lease, .resolvers = {address("2001:db8::53"), address("fe80::53")}});
    CHECK(report.ifindex == 2);
    CHECK(report.name == "eth0");
    CHECK(report.mac == "52:54:00:0a:0b:0c");
    CHECK(report.gateways == link.gateways);
    CHECK(report.resolvers ==
          std::vector{address("192.0.2.53"), address("2001:db8::53"), address("fe80::53")});
    REQUIRE(report.dhcp);
    CHECK(*report.dhcp == lease);
    CHECK_FALSE(report.dhcp6.has_value());
    CHECK_FALSE(report_of(link, {}).dhcp.has_value());
    const Dhcp6Lease lease6{.resolvers = {address("2001:db8::54"), address("192.0.2.53")}};
    const LinkReport both = report_of(
        link, {.lease = &lease, .lease6 = &lease6, .resolvers = {address("2001:db8::53")}});
    CHECK(both.resolvers ==
          std::vector{address("192.0.2.53"), address("2001:db8::53"), address("2001:db8::54")});
    REQUIRE(both.dhcp6);
    CHECK(*both.dhcp6 == lease6);
}
