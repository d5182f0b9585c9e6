#include "core/address.h"

#include <doctest/doctest.h>

using namespace fortros;
using namespace std::literals;

static std::string respelt(std::string_view text) {
    const auto address = IpAddress::parse(text);
    return address ? address->text() : "refused";
}

// Addresses are compared and stored as text by people and gateways: one host, one spelling.
TEST_CASE("an address has one spelling") {
    CHECK(respelt("192.0.2.1") == "192.0.2.1");
    CHECK(respelt("2001:DB8:0:0:0:0:0:1") == "2001:db8::1");
    CHECK(respelt("2001:0db8::0001") == "2001:db8::1");
    // RFC 5952 section 4.2: the longest run of zeros, the first of equals, never a single one.
    CHECK(respelt("2001:0:0:1:0:0:0:1") == "2001:0:0:1::1");
    CHECK(respelt("2001:db8:0:0:1:0:0:1") == "2001:db8::1:0:0:1");
    CHECK(respelt("2001:db8:0:1:1:1:1:1") == "2001:db8:0:1:1:1:1:1");
    CHECK(respelt("::") == "::");
    CHECK(respelt("::1") == "::1");
}

// What one parser takes for an address and another for a name leads two programs to two hosts.
TEST_CASE("what is not exactly an address is refused") {
    for (std::string_view text : {"",
                                  " ",
                                  "1.2.3",
                                  "1.2.3.4.5",
                                  "1.2.3.256",
                                  "01.2.3.4",
                                  "0x1.2.3.4",
                                  "1.2.3.4 ",
                                  " 1.2.3.4",
                                  "1.2.3.-4",
                                  "127.1",
                                  "3232235521",
                                  "example.org",
                                  ":",
                                  ":::",
                                  "1::2::3",
                                  "2001:db8::1%eth0",
                                  "fe80::1%1",
                                  "[::1]",
                                  "12345::",
                                  "g::1",
                                  "2001:db8::1/64",
                                  "1:2:3:4:5:6:7:8:9",
                                  "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb"}) {
        CAPTURE(text);
        CHECK_FALSE(IpAddress::parse(text));
    }
    CHECK_FALSE(IpAddress::parse("1.2.3.4\0.example.org"sv));
    CHECK_FALSE(IpAddress::parse("::1\0"sv));
}

// A mapped address would be a second name for an IPv4 host, past every check made on the first.
TEST_CASE("an IPv4-mapped address is refused") {
    CHECK_FALSE(IpAddress::parse("::ffff:192.0.2.1"));
    CHECK_FALSE(IpAddress::parse("::ffff:c000:201"));
    CHECK_FALSE(IpAddress::from_bytes(
        ByteArray<16>{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1}));
}

// Answers of resolvers and netlink come as bytes; a length that is neither must not be padded.
TEST_CASE("an address comes from 4 or 16 bytes") {
    CHECK(IpAddress::from_bytes(ByteArray<4>{192, 0, 2, 1})->text() == "192.0.2.1");
    CHECK(IpAddress::from_bytes(ByteArray<16>{0xfd, 1})->text() == "fd01::");
    CHECK_FALSE(IpAddress::from_bytes(ByteArray<5>{}));
    CHECK_FALSE(IpAddress::from_bytes({}));
    CHECK(IpAddress::v4({10, 0, 0, 1}).bytes().size() == 4);
    CHECK(IpAddress::v6({}).bytes().size() == 16);
}

// A candidate that is no unicast address would send the join to nobody or to everybody.
TEST_CASE("kinds of addresses are told apart") {
    const auto is = [](std::string_view text, auto member) {
        return (*IpAddress::parse(text).*member)();
    };
    for (std::string_view text : {"0.0.0.0", "::"}) CHECK(is(text, &IpAddress::is_unspecified));
    for (std::string_view text : {"0.0.0.1", "::1"})
        CHECK_FALSE(is(text, &IpAddress::is_unspecified));
    for (std::string_view text : {"127.0.0.1", "127.255.0.1", "::1"})
        CHECK(is(text, &IpAddress::is_loopback));
    for (std::string_view text : {"128.0.0.1", "::2", "fe80::1"})
        CHECK_FALSE(is(text, &IpAddress::is_loopback));
    for (std::string_view text : {"224.0.0.1", "239.255.255.255", "ff02::1"})
        CHECK(is(text, &IpAddress::is_multicast));
    for (std::string_view text : {"223.0.0.1", "240.0.0.1", "fe80::1"})
        CHECK_FALSE(is(text, &IpAddress::is_multicast));
    for (std::string_view text : {"169.254.0.1", "fe80::1", "febf::1"})
        CHECK(is(text, &IpAddress::is_link_local));
    for (std::string_view text : {"169.253.0.1", "fec0::1", "fe00::1"})
        CHECK_FALSE(is(text, &IpAddress::is_link_local));
}

// The default address must never look like a real host.
TEST_CASE("a new address is unspecified") {
    CHECK(IpAddress().is_unspecified());
    CHECK(IpAddress().text() == "0.0.0.0");
    CHECK(IpAddress() != *IpAddress::parse("::"));
}

// A static address with a wrong prefix length cuts a node off from its router.
TEST_CASE("a network keeps the host's bits and knows its own") {
    const auto network = IpNetwork::parse("192.0.2.7/24");
    REQUIRE(network);
    CHECK(network->text() == "192.0.2.7/24");
    CHECK(network->network().text() == "192.0.2.0/24");
    CHECK(IpNetwork::parse("10.255.255.255/9")->network().text() == "10.128.0.0/9");
    CHECK(IpNetwork::parse("2001:db8:ffff:ffff::1/47")->network().text() == "2001:db8:fffe::/47");
    CHECK(IpNetwork::parse("192.0.2.7")->text() == "192.0.2.7/32");
    CHECK(IpNetwork::parse("fd00::1")->text() == "fd00::1/128");
    CHECK(IpNetwork::parse("255.1.1.1/0")->network().text() == "0.0.0.0/0");
}

// "/08" read as octal, or "/33" wrapped around, would route the internet into a tunnel.
TEST_CASE("what is not exactly a network is refused") {
    for (std::string_view text : {"", "/", "/24", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/256",
                                  "192.0.2.0/024", "192.0.2.0/+8", "192.0.2.0/-1", "192.0.2.0/8/8",
                                  "192.0.2.0/255.255.255.0", "fd00::/129", "fd00::/00"}) {
        CAPTURE(text);
        CHECK_FALSE(IpNetwork::parse(text));
    }
}

// The guard and the check of overlay endpoints ask this: a wrong answer leaks plaintext.
TEST_CASE("a network contains what has its prefix and its family") {
    const auto contains = [](std::string_view network, std::string_view address) {
        return IpNetwork::parse(network)->contains(*IpAddress::parse(address));
    };
    CHECK(contains("fd12:3456:789a::/48", "fd12:3456:789a:ffff::1"));
    CHECK_FALSE(contains("fd12:3456:789a::/48", "fd12:3456:789b::1"));
    CHECK(contains("10.128.0.0/9", "10.200.0.1"));
    CHECK_FALSE(contains("10.128.0.0/9", "10.127.255.255"));
    CHECK(contains("0.0.0.0/0", "203.0.113.9"));
    CHECK_FALSE(contains("0.0.0.0/0", "2001:db8::1"));
    CHECK_FALSE(contains("::/0", "203.0.113.9"));
    CHECK(contains("192.0.2.7/32", "192.0.2.7"));
    CHECK_FALSE(contains("192.0.2.7/32", "192.0.2.6"));
}

// The cached gateway is stored as this text: read back otherwise, the second boot finds nobody.
TEST_CASE("an endpoint survives its spelling") {
    for (std::string_view text : {"192.0.2.1:443", "[2001:db8::1]:1", "[fe80::1]:65535"}) {
        CAPTURE(text);
        REQUIRE(Endpoint::parse(text));
        CHECK(Endpoint::parse(text)->text() == text);
    }
}

// "2001:db8::1:443" is an address; guessing otherwise would connect somewhere else.
TEST_CASE("an endpoint is never guessed") {
    for (std::string_view text : {"",
                                  ":",
                                  ":443",
                                  "192.0.2.1",
                                  "192.0.2.1:",
                                  "192.0.2.1:0",
                                  "192.0.2.1:65536",
                                  "192.0.2.1:0443",
                                  "192.0.2.1:+443",
                                  "192.0.2.1: 443",
                                  "192.0.2.1:443 ",
                                  "2001:db8::1:443",
                                  "[2001:db8::1]",
                                  "[2001:db8::1]443",
                                  "[2001:db8::1",
                                  "[2001:db8::1]:",
                                  "[192.0.2.1]:443",
                                  "[]:443",
                                  "[[::1]]:443",
                                  "gw.example.org:443",
                                  "[fe80::1%eth0]:443"}) {
        CAPTURE(text);
        CHECK_FALSE(Endpoint::parse(text));
    }
}

// Settings may leave the port out: without this each Gateways= would have to repeat 443.
TEST_CASE("a bare address gets the default port") {
    const auto with_default = [](std::string_view text) {
        const auto endpoint = Endpoint::parse(text, 443);
        return endpoint ? endpoint->text() : "refused";
    };
    CHECK(with_default("192.0.2.1") == "192.0.2.1:443");
    CHECK(with_default("2001:db8::1") == "[2001:db8::1]:443");
    CHECK(with_default("[2001:db8::1]") == "[2001:db8::1]:443");
    CHECK(with_default("192.0.2.1:8443") == "192.0.2.1:8443");
    CHECK(with_default("192.0.2.1:0") == "refused");
    CHECK(with_default("192.0.2.1:") == "refused");
}

// The name is compared with a certificate's: a second spelling would never match, or match twice.
TEST_CASE("a host name is made canonical") {
    CHECK(parse_host_name("gw.example.org") == "gw.example.org");
    CHECK(parse_host_name("GW.Example.ORG.") == "gw.example.org");
    CHECK(parse_host_name("node-7") == "node-7");
    CHECK(parse_host_name("7.example") == "7.example");
    CHECK(parse_host_name("xn--bcher-kva.example") == "xn--bcher-kva.example");
    CHECK(parse_host_name(std::string(63, 'a')));
}

// A wildcard, an address or a control character in a name would reach DNS, TLS and the log.
TEST_CASE("what is not a host name is refused") {
    for (std::string_view text :
         {"", ".", "..", "a..b", ".a", "a..", "*.example.org", "a_b.example", "-a.example",
          "a-.example", "192.0.2.1", "123", "::1", "a b", "a\n", "a/b", "b\xc3\xbc"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_host_name(text));
    }
    CHECK_FALSE(parse_host_name(std::string(64, 'a')));
    CHECK_FALSE(parse_host_name("a\0b"sv));
    std::string longest;
    while (longest.size() < 252) longest += "a.";
    CHECK(parse_host_name(longest + "a"));  // 253
    CHECK_FALSE(parse_host_name(longest + "aa"));
}
