// A signer: whom the organisation's CA lets sign attestations, bootstrap sets and the org document, and
// the one check of such a signature. It never verifies the certificate (SignerVerifier does) and signs
// nothing.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "core/crypto.h"

namespace fortros {

using SignerId = ByteArray<8>;
SignerId signer_id_of(ByteView certificate_der);

// The extended key usage of a signer certificate, and its only one: 2.25.UUID.1 (ITU-T X.667), from
// the UUID ac713719-c4fe-4ca1-ae08-285342dd98af. As text, and as the DER content octets.
inline constexpr std::string_view signer_usage_oid =
    "2.25.229215062394218720325445078132029495471.1";
inline constexpr std::uint8_t signer_usage_oid_der[] = {0x69, 0x82, 0xd8, 0xf1, 0x9b, 0xc6, 0xb8,
                                                        0xcf, 0xf2, 0xb2, 0xc3, 0xae, 0x84, 0x8a,
                                                        0x8a, 0xb4, 0x96, 0xf6, 0xb1, 0x2f, 0x01};

// From a certificate that is already verified against the org CA
// (os/trust.h, gateway/signer.h).
struct Signer {
    SignerId id{};
    crypto::PointP256 key{};
    WallTime not_before{};
    WallTime not_after{};
};

// The signature at the end of `bytes`, over everything before it, by the signer of that id, whose own
// life must cover `now`. Untrusted otherwise; `what` is what is signed, for the error.
Status check_signature(std::string_view what, ByteView bytes, const SignerId& id,
                       const std::vector<Signer>& signers, WallTime now);

}  // namespace fortros
