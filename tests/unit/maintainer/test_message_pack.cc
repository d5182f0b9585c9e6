#include "maintainer/message_pack.h"

#include <doctest/doctest.h>

#include "base/encoding.h"

using namespace fortros;

static Bytes written(const MessagePack& value) {
    Bytes out;
    value.write_to(out);
    return out;
}

// The Serf agent would not understand what it is told.
TEST_CASE("message pack: what is written is read as it was") {
    const MessagePack value =
        MessagePack::Map{{"nil", {}},
                         {"yes", true},
                         {"number", -3},
                         {"large", std::int64_t{1} << 40},
                         {"text", std::string(70000, 'x')},
                         {"list", MessagePack::Array{1, "two", MessagePack::Map{}}}};
    const auto read = MessagePack::parse(written(value));
    REQUIRE(read);
    CHECK(*read == value);
    CHECK(*value.find("text")->string() == std::string(70000, 'x'));
    CHECK(value.find("nobody") == nullptr);
}

// Each form in which a sender may write the same.
TEST_CASE("message pack: every form of the specification is read") {
    const auto number = [](const char* hex) {
        return *MessagePack::parse(*from_hex(hex))->number();
    };
    CHECK(number("05") == 5);
    CHECK(number("ff") == -1);
    CHECK(number("ccff") == 255);
    CHECK(number("cd0100") == 256);
    CHECK(number("ce00010000") == 65536);
    CHECK(number("cf0000000100000000") == std::int64_t{1} << 32);
    CHECK(number("d0ff") == -1);
    CHECK(number("d1fffe") == -2);
    CHECK(number("d2fffffffd") == -3);
    CHECK(number("d3fffffffffffffffc") == -4);
    CHECK(*MessagePack::parse(*from_hex("cb3ff8000000000000"))->real() == 1.5);
    CHECK(*MessagePack::parse(*from_hex("a26869"))->string() == "hi");
    CHECK(*MessagePack::parse(*from_hex("d9026869"))->string() == "hi");
    CHECK(*MessagePack::parse(*from_hex("c4026869"))->string() == "hi");
    CHECK(MessagePack::parse(*from_hex("dc000201c3"))->array()->size() == 2);
    CHECK(*MessagePack::parse(*from_hex("de0001a16b07"))->find("k")->number() == 7);
}

// A stranger's bytes would end the maintainer.
TEST_CASE("message pack: what is none, or beyond the bounds, is refused") {
    for (const char* hex : {"", "c1", "a3", "92", "81a16b", "cfffffffffffffffff", "d40000",
                            "c70100aa", "8101c0", "0505", "919191919191919191c0"}) {
        CAPTURE(hex);
        CHECK_FALSE(MessagePack::parse(*from_hex(hex)));
    }
    CHECK_FALSE(MessagePack::parse(*from_hex("93010203"), {.values = 3}));
    CHECK(MessagePack::parse(*from_hex("93010203"), {.values = 4}));
}

// Two answers would run into each other, or one be waited for that is there.
TEST_CASE("message pack: the end of a value is found in any portions") {
    const Bytes value = written(MessagePack::Map{
        {"list", MessagePack::Array{1, MessagePack::Array{}, std::string(300, 'x')}}, {"nil", {}}});
    Bytes two = value;
    two.insert(two.end(), value.begin(), value.end());
    MessagePackFramer framer(1000);
    for (std::size_t size = 0; size < value.size(); ++size) {
        const auto found = framer.look(ByteView(two).first(size));
        REQUIRE(found);
        CHECK_FALSE(*found);
    }
    CHECK(*framer.look(two) == value.size());
    CHECK(*framer.look(ByteView(two).subspan(value.size())) == value.size());
}

TEST_CASE("message pack: a value that is too large is refused by its first bytes") {
    CHECK_FALSE(MessagePackFramer(1000).look(*from_hex("db000003e8")));
    CHECK(MessagePackFramer(1005).look(*from_hex("db000003e8")));
    CHECK_FALSE(MessagePackFramer(1000).look(*from_hex("ddffffffff")));
    MessagePackFramer nested(100);
    CHECK_FALSE(nested.look(Bytes(200, 0x91)));
}
