#include "gateway/signer.h"

#include <doctest/doctest.h>

#include "unit/gateway/fakes.h"

using namespace fortros;
using namespace fortros::gateway;

namespace {

const WallTime noon{std::chrono::seconds{1'800'000'000}};

}  // namespace

// A number with a leading zero has a shorter DER: one attestation in 128 would be refused.
TEST_CASE("signer: every signature is two numbers of fixed width that verify") {
    REQUIRE(crypto::initialise());
    const auto signer = make_fake_signer(noon, noon + one_day);
    unsigned short_numbers = 0;
    for (std::uint64_t serial = 0; serial < 1000; ++serial) {
        const Attestation attestation{.prefix = *OrgPrefix::parse("fd12:3456:789a::/48"),
                                      .serial = serial,
                                      .not_after = noon + one_day};
        const auto bytes = sign_attestation(*signer, attestation);
        REQUIRE(bytes);
        CHECK(check_attestation(*bytes, {signer->facts()}, attestation.prefix, noon));
        if ((*bytes)[attestation_size - 64] == 0 || (*bytes)[attestation_size - 32] == 0)
            ++short_numbers;
    }
    CHECK(short_numbers > 0);
}

// The gateway would sign with a key that no node believes, and find out from its nodes.
TEST_CASE("signer: a key that is not the certificate's is refused") {
    const auto signer = make_fake_signer(noon, noon + one_day);
    const auto* position = signer->certificate().data();
    const OpenSsl<X509> certificate(
        d2i_X509(nullptr, &position, static_cast<long>(signer->certificate().size())));
    const auto wrong = make_signer(certificate.get(), OpenSsl<EVP_PKEY>(EVP_EC_gen("P-256")));
    REQUIRE(!wrong);
    CHECK(wrong.error().what.contains("does not belong to its certificate"));
}

// Nodes verify P-256 and nothing else, not even a curve whose points have the same size.
TEST_CASE("signer: a key of another kind is refused") {
    for (const char* curve : {"P-384", "secp256k1"}) {
        OpenSsl<EVP_PKEY> key(EVP_EC_gen(curve));
        const OpenSsl<X509> certificate(X509_new());
        REQUIRE(X509_set_pubkey(certificate.get(), key.get()) == 1);
        const auto wrong = make_signer(certificate.get(), std::move(key));
        REQUIRE(!wrong);
        CHECK_MESSAGE(wrong.error().what.contains("not P-256"), curve);
    }
}
