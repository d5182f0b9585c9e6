#include "gateway/invite.h"

#include <doctest/doctest.h>

#include "base/encoding.h"
#include "core/messages.h"

using namespace fortros;
using namespace fortros::gateway;

namespace {

class ConstantRandom final : public Random {
public:
    explicit ConstantRandom(ByteView bytes) : m_bytes(bytes) {}
    void fill(std::span<std::uint8_t> bytes) override {
        for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = m_bytes[i % m_bytes.size()];
    }

private:
    ByteView m_bytes;
};

}  // namespace

// An invite would lose some of its random bits, or spell them differently from every other tool.
TEST_CASE("invite: it is its prefix and the random bytes in base64url") {
    const Bytes bytes = *from_hex("000102030405fafbfcfdfeff8090a0b0c0d0e0f07f3e5d2b");
    ConstantRandom random(bytes);
    const auto invite = make_invite(random);
    CHECK(invite.text() == "fortros-invite-v1-" + to_base64url(bytes));
    CHECK(invite.size() == 18 + 32);
}

// The agent would not take the file that the gateway wrote.
TEST_CASE("invite: the agent's own reader takes it") {
    SeededRandom random(1);
    const auto invite = make_invite(random);
    const auto read = parse_invite(std::string(invite.text()) + "\n");
    REQUIRE(read);
    CHECK(read->text() == invite.text());
}

// An admin could not name an invite to revoke it.
TEST_CASE("invite: an id follows from the hash and is told from other words") {
    REQUIRE(crypto::initialise());
    const auto hash = hash_of_invite(as_bytes("abc"));
    CHECK(invite_id_of(hash) == "ba7816bf8f01");
    CHECK(is_invite_id("ba7816bf8f01"));
    for (const char* text : {"", "ba7816bf8f0", "ba7816bf8f010", "BA7816BF8F01", "ba7816bf8f0g"})
        CHECK_MESSAGE(!is_invite_id(text), text);
}
