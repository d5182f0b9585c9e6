#include "maintainer/beacon_links.h"

#include <doctest/doctest.h>

using namespace fortros;

namespace {

const OrgPrefix prefix = *OrgPrefix::parse("fd12:3456:789a::/48");

LinkAddress address(std::string_view text, bool settled = true) {
    return {.network = *IpNetwork::parse(text), .global = true, .settled = settled};
}
LinkState link(unsigned ifindex, std::string name, std::vector<LinkAddress> addresses) {
    return {.ifindex = ifindex,
            .name = std::move(name),
            .up = true,
            .carrier = true,
            .addresses = std::move(addresses)};
}

}  // namespace

// Two neighbours would find each other by a lighthouse only, or not at all.
TEST_CASE("beacon links: one address of each family") {
    const auto links = beacon_links_of(
        {link(2, "eth0",
              {address("fe80::1/64"), address("2001:db8::2/64", false), address("2001:db8::1/64"),
               address("192.168.1.7/24"), address("192.168.1.8/24")})},
        prefix);
    REQUIRE(links.size() == 1);
    CHECK(links[0] ==
          BeaconLink{2, *IpAddress::parse("192.168.1.7"), *IpAddress::parse("2001:db8::1")});
}

// The whole org would hear of the node inside of the overlay, and of its key outside of it.
TEST_CASE("beacon links: none of the overlay, and none without neighbours") {
    const auto usable = [] { return std::vector{address("192.168.1.7/24")}; };
    auto tunnel = link(3, "wg0", usable());
    tunnel.kind = "wireguard";
    auto port = link(4, "eth1", usable());
    port.is_port = true;
    auto unplugged = link(5, "eth2", usable());
    unplugged.carrier = false;
    auto down = link(6, "eth3", usable());
    down.up = false;
    CHECK(beacon_links_of({link(1, "fortros0", usable()), link(2, "fortros-lh0", usable()), tunnel,
                           port, unplugged, down, link(7, "eth4", {address("fe80::1/64")}),
                           link(8, "eth5", {address("fd12:3456:789a::1/128")})},
                          prefix)
              .empty());
}

TEST_CASE("beacon links: a bounded number") {
    std::vector<LinkState> many;
    for (unsigned i = 1; i <= 2 * beacon_links_limit; ++i)
        many.push_back(link(i, "eth" + std::to_string(i), {address("192.168.1.7/24")}));
    CHECK(beacon_links_of(many, prefix).size() == beacon_links_limit);
}
