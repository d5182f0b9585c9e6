#include "core/dhcp_lease.h"

#include <doctest/doctest.h>

#include "base/time.h"
#include "fakes/dhcp_server.h"

using namespace fortros;

using Options = std::vector<std::pair<std::uint8_t, Bytes>>;

// An offer of 192.0.2.77/24 for an hour with these options, which replace those of the same code.
static DhcpMessage offer(const Options& options = {}) {
    DhcpMessage message = FakeDhcpServer{}.reply({}, DhcpMessage::Type::Offer);
    for (const auto& option : options) {
        std::erase_if(message.options, [&](const auto& old) { return old.first == option.first; });
        message.options.push_back(option);
    }
    return message;
}

static DhcpMessage offer_without(std::uint8_t code) {
    DhcpMessage message = offer();
    std::erase_if(message.options, [&](const auto& old) { return old.first == code; });
    return message;
}

static IpAddress address(std::string_view text) { return *IpAddress::parse(text); }
static IpNetwork network(std::string_view text) { return *IpNetwork::parse(text); }

// The node would come up with less than its network gives.
TEST_CASE("a lease holds all that was given") {
    const auto lease = lease_of(offer({{dhcp_option::routers, {192, 0, 2, 254, 192, 0, 2, 253}},
                                       {dhcp_option::resolvers, {192, 0, 2, 53, 198, 51, 100, 53}},
                                       {dhcp_option::ntp_servers, {192, 0, 2, 123}},
                                       {dhcp_option::interface_mtu, {0x05, 0x78}},
                                       {dhcp_option::broadcast_address, {192, 0, 2, 255}},
                                       {dhcp_option::renewal_time, option_seconds(600s)},
                                       {dhcp_option::rebinding_time, option_seconds(3000s)}}));
    REQUIRE(lease.has_value());
    CHECK(lease->address == network("192.0.2.77/24"));
    CHECK(lease->server == address("192.0.2.1"));
    REQUIRE(lease->routes.size() == 1);
    CHECK(lease->routes[0] == DhcpRoute{network("0.0.0.0/0"), address("192.0.2.254")});
    CHECK(lease->resolvers == std::vector{address("192.0.2.53"), address("198.51.100.53")});
    CHECK(lease->ntp_servers == std::vector{address("192.0.2.123")});
    CHECK(lease->mtu == 1400);
    CHECK(lease->broadcast == address("192.0.2.255"));
    CHECK(lease->lifetime == 3600s);
    CHECK(lease->renew_after == 600s);
    CHECK(lease->rebind_after == 3000s);
}

// RFC 3442: with both options given, a node that follows option 3 leaves by the wrong router.
TEST_CASE("classless routes take the place of the router option") {
    const auto lease = lease_of(offer(
        {{dhcp_option::routers, {192, 0, 2, 254}},
         {dhcp_option::classless_routes, {32, 10,  0,  0,   1,   0, 0, 0, 0,  // on the link itself
                                          0,  10,  0,  0,   1,                // default
                                          17, 198, 51, 100, 192, 0, 2, 9}}}));  // host bits set
    REQUIRE(lease.has_value());
    CHECK(lease->routes ==
          std::vector<DhcpRoute>{{network("10.0.0.1/32"), address("0.0.0.0")},
                                 {network("0.0.0.0/0"), address("10.0.0.1")},
                                 {network("198.51.0.0/17"), address("192.0.2.9")}});
}

// A typo in one option would otherwise cut a node off that could have come up.
TEST_CASE("an optional part that does not parse counts as absent") {
    const auto lease =
        lease_of(offer({{dhcp_option::routers, {192, 0, 2, 254}},
                        {dhcp_option::classless_routes, {33, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
                        {dhcp_option::resolvers, {192, 0, 2}},
                        {dhcp_option::ntp_servers, {1}},
                        {dhcp_option::interface_mtu, {5}},
                        {dhcp_option::broadcast_address, {9, 9, 9, 9}},
                        {dhcp_option::renewal_time, {1, 2}},
                        {dhcp_option::rebinding_time, {}}}));
    REQUIRE(lease.has_value());
    CHECK(lease->routes == std::vector<DhcpRoute>{{network("0.0.0.0/0"), address("192.0.2.254")}});
    CHECK(lease->resolvers.empty());
    CHECK(lease->ntp_servers.empty());
    CHECK_FALSE(lease->mtu.has_value());
    CHECK_FALSE(lease->broadcast.has_value());
    CHECK(lease->renew_after == 1800s);
    CHECK(lease->rebind_after == 3150s);
    // A route that is cut off spoils its whole list.
    CHECK(lease_of(offer({{dhcp_option::classless_routes, {0, 192, 0, 2, 1, 24, 10}}}))
              ->routes.empty());
}

// A node would take the network down for itself or for others.
TEST_CASE("a lease that cannot be lived with is refused") {
    for (const std::string_view unusable :
         {"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"}) {
        CAPTURE(unusable);
        DhcpMessage message = offer();
        message.yours = address(unusable);
        CHECK_FALSE(lease_of(message).has_value());
    }
    CHECK_FALSE(lease_of(offer_without(dhcp_option::server_id)).has_value());
    CHECK_FALSE(lease_of(offer({{dhcp_option::server_id, {192, 0, 2}}})).has_value());
    CHECK_FALSE(lease_of(offer({{dhcp_option::subnet_mask, {255, 0, 255, 0}}})).has_value());
    CHECK_FALSE(lease_of(offer({{dhcp_option::subnet_mask, {0, 0, 0, 0}}})).has_value());
    CHECK_FALSE(lease_of(offer({{dhcp_option::subnet_mask, {255, 255}}})).has_value());
    CHECK_FALSE(lease_of(offer({{dhcp_option::lease_time, option_seconds(9s)}})).has_value());
}

// Clouds give a single address and its router as a route; old servers give no mask at all.
TEST_CASE("the prefix length follows from the mask, or from the class without one") {
    CHECK(lease_of(offer({{dhcp_option::subnet_mask, {255, 255, 255, 255}}}))->address.length ==
          32);
    CHECK(lease_of(offer({{dhcp_option::subnet_mask, {255, 255, 254, 0}}}))->address.length == 23);
    CHECK(lease_of(offer_without(dhcp_option::subnet_mask))->address.length == 24);
    DhcpMessage message = offer_without(dhcp_option::subnet_mask);
    message.yours = address("10.9.8.7");
    CHECK(lease_of(message)->address.length == 8);
    message.yours = address("172.16.0.7");
    CHECK(lease_of(message)->address.length == 16);
}

// Timers out of order would renew at once and for ever, or never.
TEST_CASE("renewal times that make no sense give way to those of the RFC") {
    const auto times = [](std::chrono::seconds renew, std::chrono::seconds rebind) {
        const auto lease = lease_of(offer({{dhcp_option::renewal_time, option_seconds(renew)},
                                           {dhcp_option::rebinding_time, option_seconds(rebind)}}));
        return std::pair{lease->renew_after, lease->rebind_after};
    };
    const std::pair by_rfc{1800s, 3150s};
    CHECK(times(0s, 100s) == by_rfc);
    CHECK(times(100s, 100s) == by_rfc);
    CHECK(times(200s, 100s) == by_rfc);
    CHECK(times(100s, 3600s) == by_rfc);
    CHECK(times(100s, 200s) == std::pair{100s, 200s});
    CHECK(lease_of(offer_without(dhcp_option::lease_time))->lifetime == 3600s);
}

// An MTU of 68 would take IPv6, and with it the overlay, off the link.
TEST_CASE("an MTU below IPv6's is not believed") {
    CHECK_FALSE(lease_of(offer({{dhcp_option::interface_mtu, {0, 68}}}))->mtu.has_value());
    CHECK_FALSE(lease_of(offer({{dhcp_option::interface_mtu, {0x04, 0xff}}}))->mtu.has_value());
    CHECK(lease_of(offer({{dhcp_option::interface_mtu, {0x05, 0x00}}}))->mtu == 1280);
}

// A server may list thousands, or nonsense: lists stay short and hold only what can be asked.
TEST_CASE("lists are bounded and hold only hosts") {
    Bytes many;
    for (std::uint8_t i = 0; i < 200; ++i) many.insert(many.end(), {192, 0, 2, i});
    CHECK(lease_of(offer({{dhcp_option::resolvers, many}}))->resolvers.size() ==
          dhcp_addresses_limit);
    const auto lease = lease_of(
        offer({{dhcp_option::resolvers, {0,   0, 0, 0,  127, 0, 0, 1,   192, 0,   2,   53,
                                         192, 0, 2, 53, 224, 0, 0, 251, 255, 255, 255, 255}}}));
    CHECK(lease->resolvers == std::vector{address("192.0.2.53")});
    Bytes routes;
    for (std::uint8_t i = 0; i < 200; ++i)
        routes.insert(routes.end(), {32, 10, 0, 0, i, 192, 0, 2, 1});
    CHECK(lease_of(offer({{dhcp_option::classless_routes, routes}}))->routes.size() ==
          dhcp_routes_limit);
}
