#include "base/encoding.h"

#include <doctest/doctest.h>

using namespace fortros;

// RFC 4648 section 10.
static constexpr std::pair<std::string_view, std::string_view> base64_vectors[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
};

static bool decodes_to(const std::optional<Bytes>& bytes, std::string_view text) {
    return bytes && as_text(*bytes) == text;
}

// Keys, proofs and certificates travel in this: another implementation must read them.
TEST_CASE("base64 is RFC 4648's, both ways") {
    for (const auto& [text, encoded] : base64_vectors) {
        CAPTURE(encoded);
        CHECK(to_base64(as_bytes(text)) == encoded);
        CHECK(decodes_to(from_base64(encoded), text));
        const std::string unpadded(encoded.substr(0, encoded.find('=')));
        CHECK(to_base64url(as_bytes(text)) == unpadded);
        CHECK(decodes_to(from_base64url(unpadded), text));
    }
    const Bytes bytes{0xfb, 0xef, 0xff};
    CHECK(to_base64(bytes) == "++//");
    CHECK(to_base64url(bytes) == "--__");
    CHECK(from_base64("++//") == bytes);
    CHECK(from_base64url("--__") == bytes);
}

// Two spellings of a key are two names of a node; a lenient reader lets a revoked one back in.
TEST_CASE("base64 has one text for each value") {
    for (std::string_view text : {"Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "=",
                                  "==", "====", "Z===", "Zm9v=", "Zm9v====", "Zm 9", " Zm9v",
                                  "Zm9v\n", "Zm9-", "Zm9_", "Z=g=", "Zg==Zg==", "Zm9\xff"}) {
        CAPTURE(text);
        CHECK_FALSE(from_base64(text));
    }
    for (std::string_view text :
         {"Z", "A", "AAAAA", "Zh", "Zm9", "Zm9vY", "Zg==", "+", "Zm9+", "Zm9/", "Zm 9", "Zm9v\n"}) {
        CAPTURE(text);
        CHECK_FALSE(from_base64url(text));
    }
    CHECK_FALSE(from_base64(std::string_view("Zm\0v", 4)));
}

// Client identifiers and test vectors are written in this.
TEST_CASE("hexadecimal is lower case, both ways") {
    const Bytes bytes{0x00, 0x7f, 0x80, 0xff};
    CHECK(to_hex(bytes) == "007f80ff");
    CHECK(from_hex("007f80ff") == bytes);
    CHECK(from_hex("") == Bytes{});
    for (std::string_view text : {"0", "0g", "FF", "0x00", " 00", "00 ", "-1"}) {
        CAPTURE(text);
        CHECK_FALSE(from_hex(text));
    }
}

// Whatever a stranger sends as a key must come back as it was, or be refused.
TEST_CASE("every byte survives every encoding") {
    Bytes bytes;
    for (int i = 0; i < 256; ++i) {
        CHECK(from_hex(to_hex(bytes)) == bytes);
        CHECK(from_base64(to_base64(bytes)) == bytes);
        CHECK(from_base64url(to_base64url(bytes)) == bytes);
        bytes.push_back(static_cast<std::uint8_t>(i));
    }
}
