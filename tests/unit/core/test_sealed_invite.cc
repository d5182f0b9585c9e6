#include "core/sealed_invite.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "vectors.h"

using namespace fortros;

namespace {

Secret<32> key_of(std::uint8_t byte) {
    ByteArray<32> bytes;
    bytes.fill(byte);
    return Secret<32>(bytes);
}

// Gives the bytes that a vector has fixed.
class GivenRandom final : public Random {
public:
    explicit GivenRandom(Bytes bytes) : m_bytes(std::move(bytes)) {}
    void fill(std::span<std::uint8_t> bytes) override {
        REQUIRE(bytes.size() <= m_bytes.size());
        std::copy_n(m_bytes.begin(), bytes.size(), bytes.begin());
    }

private:
    Bytes m_bytes;
};

constexpr std::string_view invite = "fortros-invite-v1-AAAAAAAAAAAAAAAA";

}  // namespace

// A gateway in another language could open no invite, and this one none of another agent's.
TEST_CASE("sealed invite: it is that of the published vectors, both ways") {
    REQUIRE(crypto::initialise());
    const Json vectors = read_vectors("proof.json");
    for (const Json& vector : *vectors.array()) {
        const Bytes bytes = bytes_of(vector, "proof_key");
        const ProofKey key(std::span<const std::uint8_t, 32>(bytes.data(), 32));
        const Bytes plain = bytes_of(vector, "invite"), sealed = bytes_of(vector, "sealed_invite");
        GivenRandom random(sealed);
        CHECK(seal_invite(key, plain, random) == sealed);
        const auto opened = open_invite(key, sealed);
        REQUIRE(opened);
        CHECK(std::ranges::equal(opened->view(), plain));
    }
}

// Who holds a stolen TLS key, or has overheard another connection, would get an invite to spend.
TEST_CASE("sealed invite: nobody opens it with another key, or after a change") {
    REQUIRE(crypto::initialise());
    SeededRandom random(5);
    const Bytes sealed = seal_invite(key_of(1), as_bytes(invite), random);
    CHECK(open_invite(key_of(1), sealed)->text() == invite);
    CHECK(!as_text(sealed).contains(invite.substr(0, 8)));
    const auto why_not = [](const ProofKey& key, ByteView bytes) {
        const auto opened = open_invite(key, bytes);
        return opened ? "" : opened.error().text();
    };
    CHECK(why_not(key_of(2), sealed).contains("not sealed for this gateway"));
    for (std::size_t i = 0; i < sealed.size(); ++i) {
        Bytes altered = sealed;
        altered[i] ^= 1;
        CHECK(why_not(key_of(1), altered).contains("not sealed for this gateway"));
    }
    for (std::size_t size = 0; size < sealed.size(); ++size)
        CHECK(!why_not(key_of(1), ByteView(sealed).first(size)).empty());
    CHECK(why_not(key_of(1), Bytes(sealed_invite_limit + 1)).contains("wrong size"));
}

// One nonce for two invites would show both to whoever has seen them sealed.
TEST_CASE("sealed invite: no two look alike") {
    REQUIRE(crypto::initialise());
    SeededRandom random(5);
    const Bytes first = seal_invite(key_of(1), as_bytes(invite), random);
    const Bytes second = seal_invite(key_of(1), as_bytes(invite), random);
    CHECK(!std::equal(first.begin(), first.begin() + 12, second.begin()));
    CHECK(!std::ranges::equal(ByteView(first).subspan(12), ByteView(second).subspan(12)));
}

// The longest invite that a file may hold would be refused by the gateway that made it.
TEST_CASE("sealed invite: the longest fits") {
    REQUIRE(crypto::initialise());
    SeededRandom random(5);
    const Bytes sealed = seal_invite(key_of(1), Bytes(invite_limit, 'i'), random);
    CHECK(sealed.size() == sealed_invite_limit);
    CHECK(open_invite(key_of(1), sealed)->size() == invite_limit);
}
