#include "core/key.h"

#include <doctest/doctest.h>

using namespace fortros;

// wg(8)'s spelling of the bytes 0, 1, ... 31, and the same in base64url.
static constexpr std::string_view counting = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
static constexpr std::string_view counting_url = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

static ByteArray<key_size> number_near_prime(std::uint8_t lowest) {
    ByteArray<key_size> bytes;
    bytes.fill(0xff);
    bytes.front() = lowest;
    bytes.back() = 0x7f;
    return bytes;
}

// A node whose key could not be written down and read back could not be added to a gateway.
TEST_CASE("a public key survives both spellings") {
    const auto key = PublicKey::from_base64(counting);
    REQUIRE(key);
    CHECK(key->bytes[0] == 0);
    CHECK(key->bytes[31] == 31);
    CHECK(key->base64() == counting);
    CHECK(key->base64url() == counting_url);
    CHECK(PublicKey::from_base64url(counting_url) == key);
    CHECK(PublicKey::from_bytes(key->bytes) == key);
}

// Both alphabets differ in two characters: a key with those would be misread or refused.
TEST_CASE("each spelling has its own alphabet") {
    ByteArray<key_size> bytes{};
    bytes[0] = 0xfb;
    bytes[1] = 0xff;
    const auto key = PublicKey::from_bytes(bytes);
    REQUIRE(key);
    CHECK(key->base64().starts_with("+/8"));
    CHECK(key->base64url().starts_with("-_8"));
    CHECK_FALSE(PublicKey::from_base64url(key->base64().substr(0, 43)));
    CHECK_FALSE(PublicKey::from_base64(key->base64url() + "="));
}

// A key with two spellings would be two nodes in a registry, and a revoked one would come back.
TEST_CASE("a spelling that is not canonical is refused") {
    CHECK_FALSE(PublicKey::from_base64(""));
    CHECK_FALSE(PublicKey::from_base64(counting_url));  // no padding
    CHECK_FALSE(PublicKey::from_base64url(counting));   // padding
    CHECK_FALSE(PublicKey::from_base64(std::string(counting) + "\n"));
    CHECK_FALSE(PublicKey::from_base64(" " + std::string(counting)));
    std::string left_over_bits(counting);
    left_over_bits[42] = '9';  // decodes to the same bytes where left-over bits are ignored
    CHECK_FALSE(PublicKey::from_base64(left_over_bits));
    CHECK_FALSE(PublicKey::from_base64url(left_over_bits.substr(0, 43)));
}

// The kernel never completes a handshake with such a key: the node would be admitted and be mute.
TEST_CASE("a number that is not below 2^255 - 19 is no key") {
    CHECK(PublicKey::from_bytes(number_near_prime(0xec)));
    CHECK_FALSE(PublicKey::from_bytes(number_near_prime(0xed)));
    CHECK_FALSE(PublicKey::from_bytes(number_near_prime(0xff)));
    ByteArray<key_size> top_bit{};
    top_bit.back() = 0x80;
    CHECK_FALSE(PublicKey::from_bytes(top_bit));
    CHECK_FALSE(PublicKey::from_base64("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIA="));
}

// A truncated key from a header or a certificate must not become another key.
TEST_CASE("a key has exactly 32 bytes") {
    const Bytes bytes(33, 1);
    CHECK_FALSE(PublicKey::from_bytes(ByteView(bytes)));
    CHECK_FALSE(PublicKey::from_bytes(ByteView(bytes).first(31)));
    CHECK_FALSE(PublicKey::from_bytes({}));
    CHECK(PublicKey::from_bytes(ByteView(bytes).first(32)));
}
