// What core/crypto.h promises, against published vectors. Linked with each library that implements
// it, so nothing here may depend on one of them.
#include "core/crypto.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "base/encoding.h"

using namespace fortros;

namespace {

Bytes hex(std::string_view text) {
    auto bytes = from_hex(text);
    REQUIRE(bytes.has_value());
    return *bytes;
}

template <std::size_t Size>
ByteArray<Size> hex_array(std::string_view text) {
    Bytes bytes = hex(text);
    REQUIRE(bytes.size() == Size);
    ByteArray<Size> out;
    std::ranges::copy(bytes, out.begin());
    return out;
}

PrivateKey private_key(std::string_view text) { return PrivateKey(hex_array<32>(text)); }

PublicKey public_key(std::string_view text) { return PublicKey{hex_array<32>(text)}; }

void start() { REQUIRE(crypto::initialise().has_value()); }

// Fills with one byte, so that what clamping changes is seen.
class ConstantRandom final : public Random {
public:
    explicit ConstantRandom(std::uint8_t byte) : m_byte(byte) {}
    void fill(std::span<std::uint8_t> bytes) override { std::ranges::fill(bytes, m_byte); }

private:
    std::uint8_t m_byte;
};

}  // namespace

// A second start, as by a test or a library that cannot know of the first, would end the program.
TEST_CASE("crypto: initialise may be called again") {
    CHECK(crypto::initialise().has_value());
    CHECK(crypto::initialise().has_value());
}

// Overlay addresses and proofs would differ from everyone else's.
TEST_CASE("crypto: SHA-256 gives the digests of FIPS 180") {
    start();
    CHECK(to_hex(crypto::sha256({})) ==
          "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(to_hex(crypto::sha256({as_bytes("abc")})) ==
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(to_hex(crypto::sha256(
              {as_bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")})) ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK(to_hex(crypto::sha256({as_bytes(std::string(1'000'000, 'a'))})) ==
          "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

// A digest would depend on how a caller happened to cut its message.
TEST_CASE("crypto: parts hash like their concatenation, empty parts included") {
    start();
    CHECK(crypto::sha256({as_bytes("a"), {}, as_bytes("bc")}) == crypto::sha256({as_bytes("abc")}));
    CHECK(crypto::hmac_sha256(as_bytes("key"), {as_bytes("a"), {}, as_bytes("bc")}) ==
          crypto::hmac_sha256(as_bytes("key"), {as_bytes("abc")}));
    CHECK(to_hex(
              crypto::hkdf_sha256({}, as_bytes("s"), {as_bytes("a"), {}, as_bytes("bc")}).view()) ==
          to_hex(crypto::hkdf_sha256({}, as_bytes("s"), {as_bytes("abc")}).view()));
}

// A gateway in another language would refuse every proof.
TEST_CASE("crypto: HMAC-SHA-256 gives the codes of RFC 4231") {
    start();
    struct Vector {
        Bytes key, data;
        std::string_view mac;
    };
    const std::string long_data =
        "This is a test using a larger than block-size key and a larger than block-size data. The "
        "key needs to be hashed before being used by the HMAC algorithm.";
    auto bytes = [](std::string_view text) { return Bytes(text.begin(), text.end()); };
    const Vector vectors[] = {
        {Bytes(20, 0x0b), bytes("Hi There"),
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {bytes("Jefe"), bytes("what do ya want for nothing?"),
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {Bytes(20, 0xaa), Bytes(50, 0xdd),
         "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
        {hex("0102030405060708090a0b0c0d0e0f10111213141516171819"), Bytes(50, 0xcd),
         "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
        {Bytes(131, 0xaa), bytes("Test Using Larger Than Block-Size Key - Hash Key First"),
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {Bytes(131, 0xaa), bytes(long_data),
         "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
    };
    for (const auto& vector : vectors)
        CHECK(to_hex(crypto::hmac_sha256(vector.key, {vector.data})) == vector.mac);
}

// The empty key is what HKDF's empty salt means; a library that refuses it would end the program.
TEST_CASE("crypto: HMAC takes an empty key") {
    start();
    CHECK(to_hex(crypto::hmac_sha256({}, {})) ==
          "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

// Node and gateway would derive different proof keys.
TEST_CASE("crypto: HKDF-SHA-256 gives the first 32 bytes of RFC 5869's outputs") {
    start();
    auto range = [](std::uint8_t first, std::uint8_t last) {
        Bytes out;
        for (unsigned byte = first; byte <= last; ++byte)
            out.push_back(static_cast<std::uint8_t>(byte));
        return out;
    };
    Bytes secret(22, 0x0b);
    CHECK(to_hex(crypto::hkdf_sha256(range(0x00, 0x0c), secret, {range(0xf0, 0xf9)}).view()) ==
          "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
    CHECK(to_hex(crypto::hkdf_sha256(range(0x60, 0xaf), range(0x00, 0x4f), {range(0xb0, 0xff)})
                     .view()) ==
          "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c");
    CHECK(to_hex(crypto::hkdf_sha256({}, secret, {}).view()) ==
          "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
}

// A node's key would differ from what wg(8) and the kernel make of it.
TEST_CASE("crypto: public keys are those of RFC 7748 section 6.1") {
    start();
    auto alice = crypto::public_key_of(
        private_key("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
    auto bob = crypto::public_key_of(
        private_key("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
    REQUIRE(alice.has_value());
    REQUIRE(bob.has_value());
    CHECK(to_hex(alice->bytes) ==
          "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    CHECK(to_hex(bob->bytes) == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
}

// The two ends would not agree on a secret, or one would agree with an implementation of its own.
TEST_CASE("crypto: X25519 gives the results of RFC 7748") {
    start();
    struct Vector {
        std::string_view scalar, point, result;
    };
    // Section 5.2, whose scalars are not clamped and whose second point has bit 255 set; then
    // section 6.1.
    const Vector vectors[] = {
        {"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
         "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
         "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
        {"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
         "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
         "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
        {"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
         "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
         "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"},
        {"5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
         "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
         "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"},
    };
    for (const auto& vector : vectors) {
        auto shared = crypto::x25519(private_key(vector.scalar), public_key(vector.point));
        REQUIRE(shared.has_value());
        CHECK(to_hex(shared->view()) == vector.result);
    }
}

// RFC 7748's iterated test: a fault that one lucky vector hides shows within a thousand rounds.
TEST_CASE("crypto: X25519 holds over RFC 7748's iterations") {
    start();
    auto k = hex_array<32>("0900000000000000000000000000000000000000000000000000000000000000");
    auto u = k;
    for (int round = 1; round <= 1000; ++round) {
        auto next = crypto::x25519(PrivateKey(k), PublicKey{u});
        REQUIRE(next.has_value());
        u = k;
        std::ranges::copy(next->view(), k.begin());
        if (round == 1)
            CHECK(to_hex(k) == "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
    }
    CHECK(to_hex(k) == "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

// An attacker who sends such a key would know the shared secret without any private key.
TEST_CASE("crypto: X25519 refuses points of low order") {
    start();
    auto own = private_key("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    const char* points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    };
    for (const char* point : points) {
        CAPTURE(point);
        auto shared = crypto::x25519(own, public_key(point));
        REQUIRE_FALSE(shared.has_value());
        CHECK(shared.error().code == ErrorCode::Untrusted);
    }
}

// wg(8) and the kernel would show another key than the one that is stored.
TEST_CASE("crypto: a fresh private key is clamped and otherwise what the dice gave") {
    start();
    ConstantRandom ones(0xff);
    auto high = crypto::make_private_key(ones);
    CHECK(to_hex(high.view()) ==
          "f8ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
    ConstantRandom zeros(0x00);
    auto low = crypto::make_private_key(zeros);
    CHECK(to_hex(low.view()) == "0000000000000000000000000000000000000000000000000000000000000040");
}

// Import clamps silently: an unclamped key that was stored must still be the same identity.
TEST_CASE("crypto: a private key and its clamped form have one public key") {
    start();
    auto raw = crypto::public_key_of(
        private_key("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"));
    auto clamped = crypto::public_key_of(
        private_key("a046e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449a44"));
    REQUIRE(raw.has_value());
    REQUIRE(clamped.has_value());
    CHECK(raw->bytes == clamped->bytes);
}

// RFC 6979 appendix A.2.5, P-256 with SHA-256.
static constexpr std::string_view signer_point =
    "04"
    "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
    "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
static constexpr std::string_view signature_of_sample =
    "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
    "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";
static constexpr std::string_view signature_of_test =
    "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367"
    "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083";

// No attestation would ever verify.
TEST_CASE("crypto: ECDSA P-256 verifies the signatures of RFC 6979") {
    start();
    auto signer = hex_array<65>(signer_point);
    CHECK(crypto::verify_p256(signer, as_bytes("sample"), hex_array<64>(signature_of_sample)));
    CHECK(crypto::verify_p256(signer, as_bytes("test"), hex_array<64>(signature_of_test)));
}

// Anybody could become a member.
TEST_CASE("crypto: ECDSA P-256 refuses every altered signature, message and signer") {
    start();
    auto signer = hex_array<65>(signer_point);
    auto signature = hex_array<64>(signature_of_sample);
    CHECK_FALSE(crypto::verify_p256(signer, as_bytes("Sample"), signature));
    CHECK_FALSE(crypto::verify_p256(signer, as_bytes("sample"), hex_array<64>(signature_of_test)));
    for (std::size_t i = 0; i < signature.size(); ++i) {
        auto altered = signature;
        altered[i] ^= 0x01;
        CHECK_FALSE(crypto::verify_p256(signer, as_bytes("sample"), altered));
    }
    CHECK_FALSE(crypto::verify_p256(signer, as_bytes("sample"), crypto::Signature{}));
}

// A point off the curve, or in another form, is a way to attack the arithmetic.
TEST_CASE("crypto: ECDSA P-256 refuses signers that are no uncompressed point of the curve") {
    start();
    auto signature = hex_array<64>(signature_of_sample);
    for (std::size_t i : {std::size_t{0}, std::size_t{1}, std::size_t{64}}) {
        auto signer = hex_array<65>(signer_point);
        signer[i] ^= 0x01;
        CHECK_FALSE(crypto::verify_p256(signer, as_bytes("sample"), signature));
    }
    CHECK_FALSE(crypto::verify_p256(crypto::PointP256{}, as_bytes("sample"), signature));
}
