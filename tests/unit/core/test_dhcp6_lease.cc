#include "core/dhcp6_lease.h"

#include <doctest/doctest.h>

#include "core/dhcp_lease.h"
#include "fakes/dhcp6_server.h"

using namespace fortros;

using std::chrono::seconds;
using Type = Dhcp6Message::Type;

static constexpr std::uint32_t iaid = 7;

static Dhcp6Message request() {
    return {.type = Type::Request,
            .transaction = 1,
            .options = {{dhcp6_option::client_id, {0, 3, 0, 1}},
                        {dhcp6_option::ia_na, ByteWriter().u32(iaid).u32(0).u32(0).take()}}};
}

static Result<Dhcp6Lease> lease_from(const FakeDhcp6Server& server) {
    return lease_of(server.reply(request(), Type::Reply), iaid);
}

static IpAddress address(std::string_view text) { return *IpAddress::parse(text); }

// The node would have no address, or the wrong one, or lose it in the middle of the boot.
TEST_CASE("a DHCPv6 lease holds what the server gave") {
    FakeDhcp6Server server;
    server.renew_after = seconds{600};
    server.rebind_after = seconds{1200};
    ByteWriter ntp;
    write_option(ntp, 1, address("2001:db8:1::123").bytes());
    write_option(ntp, 3, Bytes{1, 'a', 0});  // a name: nobody here resolves it
    server.options = {{dhcp6_option::ntp_server, ntp.take()}};
    const auto lease = lease_from(server);
    REQUIRE(lease);
    CHECK(lease->address == address("2001:db8:1::77"));
    CHECK(lease->preferred == seconds{1800});
    CHECK(lease->lifetime == seconds{3600});
    CHECK(lease->renew_after == seconds{600});
    CHECK(lease->rebind_after == seconds{1200});
    CHECK(lease->resolvers == std::vector{address("2001:db8:1::53")});
    CHECK(lease->ntp_servers == std::vector{address("2001:db8:1::123")});
    CHECK(lease->server_id == server.duid);
    CHECK(lease->iaid == iaid);
}

// A server that renumbers gives the old address too; with it the boot's connections would end soon.
TEST_CASE("of several DHCPv6 addresses the one that is preferred longest is taken") {
    const auto part = [](std::string_view text, std::uint32_t preferred, std::uint32_t lifetime) {
        return ByteWriter().bytes(address(text).bytes()).u32(preferred).u32(lifetime).take();
    };
    ByteWriter association;
    association.u32(iaid).u32(0).u32(0);
    write_option(association, dhcp6_option::ia_address, part("2001:db8:1::1", 0, 7200));
    write_option(association, dhcp6_option::ia_address, part("2001:db8:1::2", 1800, 3600));
    write_option(association, dhcp6_option::ia_address, part("2001:db8:1::3", 600, 3600));
    const Dhcp6Message reply{.type = Type::Reply,
                             .transaction = 1,
                             .options = {{dhcp6_option::server_id, {0, 3, 0, 1}},
                                         {dhcp6_option::ia_na, association.take()}}};
    const auto lease = lease_of(reply, iaid);
    REQUIRE(lease);
    CHECK(lease->address == address("2001:db8:1::2"));
    CHECK(lease->lifetime == seconds{3600});
}

// Renewed never, or in a tight loop.
TEST_CASE("times that a DHCPv6 server leaves out or gets wrong are made up") {
    FakeDhcp6Server server;
    const auto times = [&](int t1, int t2) {
        server.renew_after = seconds{t1};
        server.rebind_after = seconds{t2};
        const auto lease = lease_from(server);
        REQUIRE(lease);
        return std::pair{lease->renew_after.count(), lease->rebind_after.count()};
    };
    CHECK(times(0, 0) == std::pair{900L, 1440L});
    CHECK(times(1000, 0) == std::pair{900L, 1440L});
    CHECK(times(1000, 999) == std::pair{900L, 1440L});
    CHECK(times(1000, 3600) == std::pair{900L, 1440L});
    CHECK(times(1000, 3599) == std::pair{1000L, 3599L});
    server.preferred = seconds{0};  // given as deprecated
    CHECK(times(0, 0) == std::pair{1800L, 2880L});
}

TEST_CASE("what a DHCPv6 server gives and nobody can live with is refused") {
    FakeDhcp6Server server;
    for (const std::string_view bad : {"::", "::1", "ff02::1", "fe80::1"}) {
        CAPTURE(bad);
        server.gives = address(bad);
        CHECK_FALSE(lease_from(server));
    }
    server.gives = address("2001:db8::1");
    server.lifetime = server.preferred - seconds{1};
    CHECK(lease_from(server).error().code == ErrorCode::InvalidData);
    server.preferred = server.lifetime = shortest_lease - seconds{1};
    CHECK(lease_from(server).error().code == ErrorCode::InvalidData);
    server.preferred = server.lifetime = shortest_lease;
    CHECK(lease_from(server));
    CHECK_FALSE(lease_of(server.reply(request(), Type::Reply), iaid + 1));
    server.duid.clear();
    CHECK_FALSE(lease_from(server));
}

// A node would keep an address that is somebody else's.
TEST_CASE("an address that is taken back, or not to be had, is a refusal") {
    FakeDhcp6Server server;
    server.preferred = server.lifetime = seconds{0};
    CHECK(lease_from(server).error().code == ErrorCode::Refused);
    server.options = {{dhcp6_option::status_code, dhcp6_status(4, "")}};
    CHECK(lease_from(server).error().code == ErrorCode::Refused);
    server.options.clear();
    server.mood = FakeDhcp6Server::Mood::NoAddresses;
    const auto none = lease_from(server);
    REQUIRE_FALSE(none);
    CHECK(none.error().code == ErrorCode::NotFound);
    CHECK(none.error().text() == "it has no address to give (not here)");
    // dnsmasq says it outside of the association.
    server.mood = FakeDhcp6Server::Mood::Helpful;
    server.options = {{dhcp6_option::status_code, dhcp6_status(2, "")}};
    CHECK(lease_from(server).error().text() == "it has no address to give");
    // Something else went wrong: that is no word about the address.
    server.options = {{dhcp6_option::status_code, dhcp6_status(1, "")}};
    CHECK(lease_from(server).error().code == ErrorCode::InvalidData);
    server.options = {{dhcp6_option::status_code, dhcp6_status(0, "fine")}};
    server.lifetime = server.preferred = seconds{60};
    CHECK(lease_from(server));
}

// A renumbered network gives the old address with no time left, and the new one beside it.
TEST_CASE("of several addresses the first that can be used is taken") {
    ByteWriter association;
    association.u32(iaid).u32(0).u32(0);
    const auto add = [&](std::string_view text, std::uint32_t lifetime) {
        write_option(association, dhcp6_option::ia_address,
                     ByteWriter().bytes(address(text).bytes()).u32(lifetime).u32(lifetime).view());
    };
    add("2001:db8::1", 0);
    add("2001:db8::2", 60);
    add("2001:db8::3", 60);
    const Dhcp6Message message{
        .type = Type::Reply,
        .options = {{dhcp6_option::server_id, {1}}, {dhcp6_option::ia_na, association.take()}}};
    CHECK(lease_of(message, iaid)->address == address("2001:db8::2"));
}

TEST_CASE("information needs no address, and lasts for a day when nothing is said") {
    FakeDhcp6Server server;
    server.resolvers = {address("2001:db8::53"), address("::"), address("ff02::1"),
                        address("2001:db8::53"), address("fe80::53")};
    Dhcp6Message ask{.type = Type::InformationRequest};
    auto known = information_of(server.reply(ask, Type::Reply));
    REQUIRE(known);
    CHECK(known->resolvers == std::vector{address("2001:db8::53"), address("fe80::53")});
    CHECK_FALSE(known->address.has_value());
    CHECK(known->refresh_after == seconds{86400});
    server.options = {{dhcp6_option::refresh_time, {0, 0, 0, 1}}};
    CHECK(information_of(server.reply(ask, Type::Reply))->refresh_after == seconds{600});
    // More than can be of use are not kept.
    server.resolvers.clear();
    for (std::uint8_t i = 1; i <= 60; ++i)
        server.resolvers.push_back(
            IpAddress::v6({0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, i}));
    CHECK(information_of(server.reply(ask, Type::Reply))->resolvers.size() == dhcp_addresses_limit);
}
