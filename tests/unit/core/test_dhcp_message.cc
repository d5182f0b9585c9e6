#include "core/dhcp_message.h"

#include <doctest/doctest.h>

#include "base/encoding.h"

using namespace fortros;

static DhcpMessage an_offer() {
    return {.type = DhcpMessage::Type::Offer,
            .is_reply = true,
            .transaction = 0x12345678,
            .seconds = 3,
            .broadcast = true,
            .hardware_address = {0x52, 0x54, 0, 1, 2, 3},
            .client = *IpAddress::parse("192.0.2.5"),
            .yours = *IpAddress::parse("192.0.2.6"),
            .options = {{dhcp_option::server_id, {192, 0, 2, 1}}, {dhcp_option::rapid_commit, {}}}};
}

// The 240 bytes before the options, with `file` and `sname` as given.
static Bytes frame(ByteView server_name = {}, ByteView boot_file = {}) {
    Bytes bytes = encode(an_offer());
    bytes.resize(240);
    std::copy(server_name.begin(), server_name.end(), bytes.begin() + 44);
    std::copy(boot_file.begin(), boot_file.end(), bytes.begin() + 108);
    return bytes;
}

static Bytes with_options(Bytes bytes, ByteView options) {
    bytes.insert(bytes.end(), options.begin(), options.end());
    return bytes;
}

// A server would not understand us, or we not it.
TEST_CASE("a DHCP message survives the wire") {
    const DhcpMessage message = an_offer();
    const auto back = decode_dhcp(encode(message));
    REQUIRE(back.has_value());
    CHECK(*back == message);
}

// Old relays drop messages that are shorter than BOOTP's.
TEST_CASE("a DHCP message is never shorter than 300 bytes") {
    CHECK(encode(DhcpMessage{}).size() == 300);
}

// The layout of RFC 2131 figure 1, byte for byte: both ends of the test above could be wrong alike.
TEST_CASE("a DISCOVER looks as RFC 2131 draws it") {
    DhcpMessage message{.transaction = 0xdeadbeef,
                        .seconds = 7,
                        .hardware_address = {0x52, 0x54, 0, 0xa, 0xb, 0xc}};
    message.options = {{dhcp_option::parameter_list, {1, 3, 6}}};
    const std::string hex = to_hex(encode(message));
    CHECK(hex.substr(0, 56) == "01010600deadbeef0007000000000000000000000000000000000000");
    CHECK(hex.substr(56, 32) == "5254000a0b0c00000000000000000000");
    CHECK(hex.substr(472, 26) ==
          "63825363350101370301"
          "0306ff");
}

// A large set of routes would be cut off after 255 bytes.
TEST_CASE("options longer than 255 bytes are split and joined") {
    DhcpMessage message = an_offer();
    Bytes routes;
    for (unsigned i = 0; i < 300; ++i) routes.push_back(static_cast<std::uint8_t>(i));
    message.options.emplace_back(dhcp_option::classless_routes, routes);
    const auto back = decode_dhcp(encode(message));
    REQUIRE(back.has_value());
    CHECK(*back->option(dhcp_option::classless_routes) == routes);
}

// Servers that are short of room put options into the fields for file and server name.
TEST_CASE("overloaded fields are read as options, the file first") {
    const Bytes boot_file{dhcp_option::resolvers, 4, 192, 0, 2, 53, dhcp_option::end};
    const Bytes server_name{
        dhcp_option::message_type, 1, 2, dhcp_option::resolvers, 4, 192, 0, 2, 54,
        dhcp_option::end};
    const auto both = decode_dhcp(
        with_options(frame(server_name, boot_file), Bytes{dhcp_option::overload, 1, 3, 0, 255}));
    REQUIRE(both.has_value());
    CHECK(both->type == DhcpMessage::Type::Offer);
    CHECK(*both->option(dhcp_option::resolvers) == Bytes{192, 0, 2, 53, 192, 0, 2, 54});

    // Not announced: those fields are names, whatever they look like.
    const auto none = decode_dhcp(
        with_options(frame(server_name, boot_file), Bytes{dhcp_option::message_type, 1, 2, 255}));
    REQUIRE(none.has_value());
    CHECK(none->option(dhcp_option::resolvers) == nullptr);
}

// Options of relays (82) and of whoever else is on the way may not cost us the lease.
TEST_CASE("unknown options, padding and a missing end mark are forgiven") {
    const auto message = decode_dhcp(
        with_options(frame(), Bytes{0, 0, dhcp_option::message_type, 1, 5, 0, 82, 3, 1, 2, 3}));
    REQUIRE(message.has_value());
    CHECK(message->type == DhcpMessage::Type::Ack);
    CHECK(*message->option(82) == Bytes{1, 2, 3});
}

// Anybody on the wire may send anything; half a message must not be half believed.
TEST_CASE("what is not a whole DHCP message is refused") {
    const Bytes good = encode(an_offer());
    REQUIRE(decode_dhcp(good).has_value());
    for (std::size_t size = 0; size < 243; ++size)
        CHECK_FALSE(decode_dhcp(ByteView(good).first(size)).has_value());
    CHECK_FALSE(decode_dhcp(with_options(good, Bytes(dhcp_message_limit))).has_value());

    const auto changed = [&](std::size_t at, std::uint8_t value) {
        Bytes bytes = good;
        bytes[at] = value;
        return decode_dhcp(bytes).has_value();
    };
    CHECK_FALSE(changed(0, 3));       // neither request nor reply
    CHECK_FALSE(changed(1, 6));       // not Ethernet
    CHECK_FALSE(changed(2, 16));      // a longer hardware address
    CHECK_FALSE(changed(239, 0x64));  // the cookie
    CHECK_FALSE(changed(242, 0));     // message types
    CHECK_FALSE(changed(242, 9));
    CHECK(changed(242, 5));

    for (const Bytes& options :
         {Bytes{}, Bytes{255}, Bytes{53, 2, 1, 1, 255}, Bytes{53, 1, 1, 53, 1, 1}, Bytes{53, 1},
          Bytes{53, 1, 1, 12}, Bytes{53, 1, 1, 12, 5, 'a', 'b'}})
        CHECK_FALSE(decode_dhcp(with_options(frame(), options)).has_value());
    // An option that runs past the end of an overloaded field.
    CHECK_FALSE(decode_dhcp(with_options(frame({}, Bytes(128, 7)),
                                         Bytes{53, 1, 2, dhcp_option::overload, 1, 1, 255}))
                    .has_value());
}
