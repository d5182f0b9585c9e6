#include "core/json.h"

#include <doctest/doctest.h>

using namespace fortros;
using namespace std::literals;

static std::string parsed(std::string_view text, const JsonLimits& limits = {}) {
    const auto json = Json::parse(text, limits);
    return json ? json->dump() : "error: " + json.error().text();
}

static bool refused(std::string_view text) {
    const auto json = Json::parse(text);
    return !json && json.error().code == ErrorCode::InvalidData;
}

static std::string nested(std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
}

// What a gateway says must be what a node hears, in the order in which it was said.
TEST_CASE("a value of every kind is read and written back") {
    const std::string_view text =
        R"({"null":null,"yes":true,"no":false,"low":-9223372036854775808,"text":"a","list":[1,[],{}]})";
    CHECK(parsed(text) == text);
    CHECK(parsed(" [ 1 ,\n\t2 ]\r\n") == "[1,2]");
    CHECK(parsed("9223372036854775807") == "9223372036854775807");
    CHECK(parsed("-0") == "0");
}

// A number that is rounded on the way could be an expiry or a serial: better none than a wrong one.
TEST_CASE("a number that is not whole or too large is refused") {
    for (std::string_view text :
         {"1.5", "1.0", "1e3", "1E400", "9223372036854775808", "-9223372036854775809",
          "18446744073709551616", "01", "+1", ".5", "1.", "0x10", "NaN", "Infinity", "-"}) {
        CAPTURE(text);
        CHECK(refused(text));
    }
}

// Two parsers that choose differently between two members of a name see two different answers.
TEST_CASE("a member that appears twice is refused") {
    CHECK(refused(R"({"a":1,"a":1})"));
    CHECK(refused(R"({"a":1,"\u0061":2})"));
    CHECK(refused(R"([{"b":{"a":1,"c":2,"a":3}}])"));
    CHECK(parsed(R"({"a":{"a":1},"b":{"a":1}})") == R"({"a":{"a":1},"b":{"a":1}})");
}

// Text after the end, comments and trailing commas are read differently by other parsers.
TEST_CASE("what is not exactly one JSON text is refused") {
    for (std::string_view text :
         {"",         " ",       "{",    "[1",  "[1,]", R"({"a":1,})", R"({"a"})", "{1:2}",
          "{'a':1}",  "[1] [2]", "[1]x", "nul", "True", "// x\n1",     "/* x */1", "\"a",
          "\"a\nb\"", "[\x01]",  "]",    "}"}) {
        CAPTURE(text);
        CHECK(refused(text));
    }
    CHECK(refused("[1]\0]"sv));
    CHECK(refused("\"a\0b\""sv));
}

// Strings reach logs and other programs as UTF-8: one bad byte would make those refuse them.
TEST_CASE("a string that is not UTF-8 is refused") {
    for (std::string_view text : {"\"\xff\"", "\"\xc3\"", "\"\xc0\x80\"", "\"\xe0\x80\x80\"",
                                  "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\x80\"",
                                  R"("\ud800")", R"("\udc00\ud800")", R"("\u12")", R"("\x41")"}) {
        CAPTURE(text);
        CHECK(refused(text));
    }
    CHECK(*Json::parse(R"("\u00fc\ud83d\ude00")")->string() == "\xc3\xbc\xf0\x9f\x98\x80");
}

// 64 KiB of '[' must not take megabytes, nor a stack.
TEST_CASE("depth, size and number of values are bounded") {
    CHECK(parsed(nested(8)) == nested(8));
    CHECK(parsed(nested(9)) == "error: JSON is nested too deeply");
    CHECK(refused(std::string(65536, '[')));
    CHECK(parsed(R"({"a":{"a":1}})", {.depth = 1}) == "error: JSON is nested too deeply");

    CHECK(parsed("[1,2]", {.bytes = 5}) == "[1,2]");
    CHECK(parsed("[1,23]", {.bytes = 5}) == "error: JSON is longer than 5 bytes");

    CHECK(parsed("[1,[2]]", {.values = 4}) == "[1,[2]]");
    CHECK(parsed("[1,[2]]", {.values = 3}) == "error: JSON has too many values");

    CHECK(parsed(R"({"a":1,"b":2})", {.members = 2}) == R"({"a":1,"b":2})");
    CHECK(parsed(R"({"a":1,"b":2,"c":3})", {.members = 2}) == "error: JSON has too many members");
}

// A request that does not parse may hold an invite, and the error goes into a log.
TEST_CASE("an error names the place and never repeats the text") {
    const auto json = Json::parse(R"({"invite":"SECRET)");
    REQUIRE_FALSE(json);
    CHECK(json.error().text() == "JSON does not parse at byte 18");
    CHECK_FALSE(json.error().text().contains("SECRET"));
}

// A host name or an error with a quote in it would end the string and forge what follows.
TEST_CASE("strings are escaped") {
    CHECK(Json("a\"b\\c").dump() == R"("a\"b\\c")");
    CHECK(Json("\n\r\t\b\x1b\x7f").dump() == R"("\n\r\t\u0008\u001b\u007f")");
    CHECK(Json("a\0b"s).dump() == R"("a\u0000b")");
    CHECK(Json(Json::Object{{"a\"", 1}}).dump() == R"({"a\"":1})");
    CHECK(Json("\xc3\xbc").dump() == "\"\xc3\xbc\"");
}

// The kernel's or a resolver's words may be any bytes: one event would break the whole file.
TEST_CASE("bytes that are not UTF-8 are written as the replacement character") {
    const std::string replaced = "\xef\xbf\xbd";
    CHECK(*Json::parse(Json("a\xff"
                            "b")
                           .dump())
               ->string() == "a" + replaced + "b");
    CHECK(*Json::parse(Json("\xc3").dump())->string() == replaced);
    CHECK(*Json::parse(Json("\xc3\"").dump())->string() == replaced + "\"");
    for (std::string_view text :
         {"\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80",
          "\xf5\x80\x80\x80", "\xe2\x82", "\xf0\x9f\x98", "\x80"}) {
        CAPTURE(text);
        const auto again = Json::parse(Json(text).dump());
        REQUIRE(again);
        CHECK(again->string()->starts_with(replaced));
    }
    for (std::string_view text : {"\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                                  "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
        CAPTURE(text);
        CHECK(*Json::parse(Json(text).dump())->string() == text);
    }
}

// People read the hand-off; programs read it either way.
TEST_CASE("an indented text says the same") {
    Json json;
    json.set("list", Json().push(1).push("{").push(Json::Array{}))
        .set("none", Json::Object{})
        .set("deep", Json().set("a", true));
    CHECK(json.dump(2) ==
          "{\n  \"list\": [\n    1,\n    \"{\",\n    []\n  ],\n  \"none\": {},\n  \"deep\": {\n"
          "    \"a\": true\n  }\n}");
    CHECK(*Json::parse(json.dump(2)) == json);
    CHECK(json.dump() == R"({"list":[1,"{",[]],"none":{},"deep":{"a":true}})");
}

// Without the name of what is wrong, an operator would have to guess in a 200 KiB answer.
TEST_CASE("a reader says which member is missing or wrong") {
    const auto json = Json::parse(
        R"({"text":"abc","number":5,"flag":true,"list":[1,2],"object":{},"nothing":null})");
    REQUIRE(json);
    const JsonReader reader(*json, "answer");
    const auto error_of = [](const auto& result) {
        return result ? "none" : result.error().text();
    };

    CHECK(*reader.string("text", 3) == "abc");
    CHECK(error_of(reader.string("text", 2)) == "answer: 'text' is longer than 2");
    CHECK(error_of(reader.string("number", 9)) == "answer: 'number' is not a string");
    CHECK(error_of(reader.string("absent", 9)) == "answer: 'absent' is missing");
    CHECK(error_of(reader.string("nothing", 9)) == "answer: 'nothing' is missing");
    CHECK(*reader.optional_string("text", 3) == "abc");
    CHECK(*reader.optional_string("absent", 9) == std::nullopt);
    CHECK(error_of(reader.optional_string("text", 2)) == "answer: 'text' is longer than 2");

    CHECK(*reader.number("number", 5, 5) == 5);
    CHECK(error_of(reader.number("number", 0, 4)) == "answer: 'number' is not within 0 to 4");
    CHECK(error_of(reader.number("number", 6, 9)) == "answer: 'number' is not within 6 to 9");
    CHECK(error_of(reader.number("text", 0, 9)) == "answer: 'text' is not a number");
    CHECK(error_of(reader.number("absent", 0, 9)) == "answer: 'absent' is missing");
    CHECK(*reader.optional_number("absent", 0, 9) == std::nullopt);

    CHECK(*reader.boolean("flag", false));
    CHECK(*reader.boolean("absent", true));
    CHECK_FALSE(*reader.boolean("absent", false));
    CHECK(error_of(reader.boolean("number", false)) ==
          "answer: 'number' is neither true nor false");

    CHECK((*reader.array("list", 2))->size() == 2);
    CHECK((*reader.array("absent", 2))->empty());
    CHECK(error_of(reader.array("list", 1)) == "answer: 'list' has more than 1 elements");
    CHECK(error_of(reader.array("object", 1)) == "answer: 'object' is not an array");

    CHECK((*reader.object("object"))->object()->empty());
    CHECK(error_of(reader.object("list")) == "answer: 'list' is not an object");
    CHECK(error_of(reader.object("absent")) == "answer: 'absent' is missing");
}

// An answer that is an array instead of an object must be an error, not a crash.
TEST_CASE("a reader of something else than an object finds nothing") {
    const Json json(5);
    const JsonReader reader(json, "answer");
    CHECK_FALSE(reader.string("a", 9));
    CHECK((*reader.array("a", 9))->empty());
    CHECK(json.find("a") == nullptr);
}
