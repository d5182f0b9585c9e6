#include "base/text.h"

#include <doctest/doctest.h>

#include <cstdint>

using namespace fortros;
using namespace std::literals;

// A settings line with CRLF or trailing blanks must mean the same as one without.
TEST_CASE("trim drops blanks at both ends only") {
    CHECK(trim("  a b\t\r\n") == "a b");
    CHECK(trim(" \t\r\n") == "");
    CHECK(trim("") == "");
    CHECK(trim("a\0 "sv) == "a\0"sv);
}

// Sources= and Gateways= are such lists: an empty word would be an unknown source.
TEST_CASE("words are what is between blanks, and never empty") {
    CHECK(words_of(" a  b\tc\n") == std::vector{"a"sv, "b"sv, "c"sv});
    CHECK(words_of(" \t\n").empty());
    CHECK(words_of("").empty());
}

// A dropped empty part would make "a..b" a host name.
TEST_CASE("split keeps empty parts") {
    CHECK(split("a,,b,", ',') == std::vector{"a"sv, ""sv, "b"sv, ""sv});
    CHECK(split("", ',') == std::vector{""sv});
    CHECK(split(",", ',') == std::vector{""sv, ""sv});
}

// Names in messages are joined with this; empty ones must not vanish with their separator.
TEST_CASE("join is the opposite of split") {
    CHECK(join({"a", "b", "c"}, ", ") == "a, b, c");
    CHECK(join({"", "b", ""}, ",") == ",b,");
    CHECK(join({}, ",") == "");
    CHECK(join({""}, ",") == "");
}

// DNS names and header names are compared so; a locale with a dotless i must not change them.
TEST_CASE("case is ASCII's alone") {
    CHECK(to_lower("ABC-xyz@[`{\xc3\x9c") == "abc-xyz@[`{\xc3\x9c");
    CHECK(equal_ignoring_case("GW.Example", "gw.eXAMPLE"));
    CHECK_FALSE(equal_ignoring_case("gw", "gw."));
    CHECK_FALSE(equal_ignoring_case("[", "{"));
    CHECK(equal_ignoring_case("", ""));
}

// A server's words on a root console could otherwise move the cursor and forge lines.
TEST_CASE("text from outside is made fit to print") {
    CHECK(printable("a\x1b[31mb\n\xc3\xbc\x7f") == "a?[31mb????");
    CHECK(printable("a\0b"sv) == "a?b");
    CHECK(printable("abcdef", 3) == "abc...");
    CHECK(printable("abc", 3) == "abc");
    CHECK(printable("", 0) == "");
}

// A port of "+443", "443 " or 65979 wrapped around to 443 would be an address nobody meant.
TEST_CASE("a number is whole, decimal and in range") {
    CHECK(parse_number<std::uint16_t>("65535") == 65535);
    CHECK(parse_number<std::uint16_t>("0") == 0);
    CHECK(parse_number<int>("-5") == -5);
    CHECK(parse_number<std::uint64_t>("18446744073709551615") == UINT64_MAX);
    for (std::string_view text : {"", " 1", "1 ", "+1", "-1", "65536", "1.0", "0x1", "1e3", "a"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_number<std::uint16_t>(text));
    }
    CHECK_FALSE(parse_number<std::uint64_t>("18446744073709551616"));
    CHECK_FALSE(parse_number<std::uint16_t>("1\0"sv));
}
