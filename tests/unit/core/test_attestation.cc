#include "core/attestation.h"

#include <doctest/doctest.h>

#include "fakes/org.h"

using namespace fortros;
using fakes::FakeSigner;

static const OrgPrefix prefix = *OrgPrefix::parse("fd12:3456:789a::/48");
static const WallTime now{std::chrono::seconds{1'800'000'000}};

static PublicKey some_key() {
    SeededRandom random(7);
    return *crypto::public_key_of(crypto::make_private_key(random));
}

// Members recognise each other by these 150 bytes and by nothing else.
TEST_CASE("a signed attestation checks and reads back") {
    const FakeSigner signer;
    const Bytes bytes = signer.attest(prefix, some_key(), Role::Lighthouse, now + one_day, 42);
    CHECK(bytes.size() == attestation_size);
    const auto checked = check_attestation(bytes, {signer.signer()}, prefix, now);
    REQUIRE(checked);
    CHECK(checked->node == some_key());
    CHECK(checked->role == Role::Lighthouse);
    CHECK(checked->serial == 42);
    CHECK(checked->not_after == now + one_day);
}

// One flipped bit anywhere must not make a stranger a member.
TEST_CASE("an attestation with any byte changed is refused") {
    const FakeSigner signer;
    const Bytes bytes = signer.attest(prefix, some_key(), Role::Node, now + one_day);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        Bytes changed = bytes;
        changed[i] ^= 1;
        CHECK_MESSAGE(!check_attestation(changed, {signer.signer()}, prefix, now), "byte ", i);
    }
}

TEST_CASE("an attestation out of its time, of another org or by a stranger is refused") {
    const FakeSigner signer(now - one_day, now + 10 * one_day);
    const FakeSigner stranger;
    const Bytes bytes = signer.attest(prefix, some_key(), Role::Node, now + one_day);
    const std::vector signers = {signer.signer()};
    REQUIRE(check_attestation(bytes, signers, prefix, now));
    CHECK(!check_attestation(bytes, signers, prefix, now + 2 * one_day));
    CHECK(!check_attestation(bytes, signers, prefix, now - 2 * one_day));
    CHECK(!check_attestation(bytes, signers, *OrgPrefix::parse("fd00::/48"), now));
    CHECK(!check_attestation(bytes, {stranger.signer()}, prefix, now));
    CHECK(!check_attestation(bytes, {}, prefix, now));
    // A signer that has expired signs for nobody any more.
    const Bytes late = signer.attest(prefix, some_key(), Role::Node, now + 100 * one_day);
    CHECK(!check_attestation(late, signers, prefix, now + 20 * one_day));
}

TEST_CASE("an attestation of a wrong size is refused") {
    const FakeSigner signer;
    Bytes bytes = signer.attest(prefix, some_key(), Role::Node, now + one_day);
    bytes.push_back(0);
    CHECK(!parse_attestation(bytes));
    CHECK(!parse_attestation(ByteView(bytes).first(attestation_size - 1)));
    CHECK(!parse_attestation({}));
}
