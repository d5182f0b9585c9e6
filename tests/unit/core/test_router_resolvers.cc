#include "core/router_resolvers.h"

#include <doctest/doctest.h>

using namespace fortros;

static IpAddress address(std::string_view text) { return *IpAddress::parse(text); }
static Instant at(Duration since_start) { return Instant{since_start}; }

// An RDNSS option (RFC 8106 section 5.1).
static Bytes rdnss(std::uint32_t lifetime, const std::vector<std::string_view>& addresses) {
    ByteWriter out;
    out.u8(25).u8(static_cast<std::uint8_t>(1 + 2 * addresses.size())).u16(0).u32(lifetime);
    for (const auto text : addresses) out.bytes(address(text).bytes());
    return out.take();
}

static Bytes operator+(Bytes a, const Bytes& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

// A node on an IPv6-only network learns its resolvers from nowhere else.
TEST_CASE("resolvers are found among a router's options") {
    Bytes other(32, 0x20);  // a prefix, full of what would be addresses elsewhere
    other[0] = 3;
    other[1] = 4;
    const auto found = parse_router_resolvers(other + rdnss(600, {"2001:db8::53", "fe80::1"}) +
                                              other + rdnss(0, {"2001:db8::54"}));
    REQUIRE(found.has_value());
    CHECK(*found == std::vector<RouterResolver>{{address("2001:db8::53"), 600s},
                                                {address("fe80::1"), 600s},
                                                {address("2001:db8::54"), 0s}});
    CHECK(parse_router_resolvers({})->empty());
}

// Any host on the wire can advertise: no option may read past its end, or go on for ever.
TEST_CASE("options that do not fit are refused") {
    const Bytes good = rdnss(600, {"2001:db8::53"});
    for (std::size_t size = 1; size < good.size(); ++size)
        CHECK_FALSE(parse_router_resolvers(ByteView(good).first(size)).has_value());
    Bytes no_length = good;
    no_length[1] = 0;
    CHECK_FALSE(parse_router_resolvers(no_length).has_value());
    Bytes half_an_address = good;
    half_an_address[1] = 2;
    half_an_address.resize(16);
    CHECK(parse_router_resolvers(half_an_address)->empty());
    CHECK(parse_router_resolvers(rdnss(600, {"::", "::1", "ff02::fb"}))->empty());
}

// A resolver that its router has withdrawn or let expire costs every look-up its time-out.
TEST_CASE("a resolver is known for as long as its router says") {
    RouterResolvers known;
    CHECK(known.deadline() == Instant::max());
    known.heard({{address("2001:db8::1"), 100s}, {address("2001:db8::2"), endless_resolver}},
                at(0s));
    CHECK(known.addresses() == std::vector{address("2001:db8::1"), address("2001:db8::2")});
    CHECK(known.deadline() == at(100s));
    known.heard({{address("2001:db8::1"), 100s}}, at(50s));
    CHECK(known.deadline() == at(150s));
    known.tick(at(149s));
    CHECK(known.addresses().size() == 2);
    known.tick(at(150s));
    CHECK(known.addresses() == std::vector{address("2001:db8::2")});
    known.heard({{address("2001:db8::2"), 0s}}, at(151s));
    CHECK(known.addresses().empty());
}

// A flood of invented resolvers may neither fill the memory nor push out the one that works.
TEST_CASE("the first known resolvers outlive a flood") {
    RouterResolvers known;
    known.heard({{address("2001:db8::53"), 600s}}, at(0s));
    for (std::uint8_t i = 0; i < 200; ++i) {
        ByteArray<16> bytes{0x20, 1, 0xd, 0xb8};
        bytes[15] = i;
        known.heard({{IpAddress::v6(bytes), 600s}}, at(1s));
    }
    CHECK(known.addresses().size() == router_resolvers_limit);
    CHECK(known.addresses().front() == address("2001:db8::53"));
}
