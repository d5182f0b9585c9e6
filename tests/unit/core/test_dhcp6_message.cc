#include "core/dhcp6_message.h"

#include <doctest/doctest.h>

using namespace fortros;

// A server would not understand us, or we not it.
TEST_CASE("a DHCPv6 message has the form of RFC 8415") {
    const Dhcp6Message message{
        .type = Dhcp6Message::Type::Solicit,
        .transaction = 0xabcdef,
        .options = {{dhcp6_option::elapsed_time, {0, 5}}, {dhcp6_option::rapid_commit, {}}}};
    const Bytes expected{1, 0xab, 0xcd, 0xef, 0, 8, 0, 2, 0, 5, 0, 14, 0, 0};
    CHECK(encode(message) == expected);
    CHECK(*decode_dhcp6(expected) == message);
    CHECK(*message.option(dhcp6_option::elapsed_time) == Bytes{0, 5});
    CHECK(message.option(dhcp6_option::ia_na) == nullptr);
}

// Bytes past an end would be read.
TEST_CASE("a DHCPv6 message that is cut off anywhere is refused or ends before an option") {
    const Bytes whole = encode({.type = Dhcp6Message::Type::Reply,
                                .transaction = 1,
                                .options = {{1, {1, 2, 3}}, {2, {4, 5}}}});
    for (std::size_t size = 0; size < whole.size(); ++size) {
        CAPTURE(size);
        const auto cut = decode_dhcp6(ByteView(whole).first(size));
        CHECK(cut.has_value() == (size == 4 || size == 11));
    }
}

TEST_CASE("relays' messages, unknown types and what is too long are no DHCPv6 messages of ours") {
    CHECK_FALSE(decode_dhcp6(Bytes{0, 0, 0, 1}));
    CHECK_FALSE(decode_dhcp6(Bytes{12, 0, 0, 1}));
    Bytes padding(dhcp6_message_limit - 8);
    const Bytes longest = encode({.type = Dhcp6Message::Type::Reply, .options = {{99, padding}}});
    CHECK(longest.size() == dhcp6_message_limit);
    CHECK(decode_dhcp6(longest));
    padding.push_back(0);
    CHECK_FALSE(
        decode_dhcp6(encode({.type = Dhcp6Message::Type::Reply, .options = {{99, padding}}})));
}
