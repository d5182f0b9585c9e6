// Membership attestation: the org's signed word that a key is a member, in a form that travels
// unchanged and small enough for a datagram. It says nothing about where the member is.
//
//   "fortros/attestation/v1" || prefix48 (6) || node key (32) || role (1) || serial (8) ||
//   not-after (8, seconds since 1970) || signer id (8) || r || s (64)
//
// Numbers are big-endian. The signature is ECDSA P-256 with SHA-256 over everything before it. The
// signer id is the first 8 bytes of SHA-256 over the signer certificate's DER.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "core/crypto.h"
#include "core/key.h"
#include "core/overlay.h"

namespace fortros {

enum class Role : std::uint8_t { Node = 1, Lighthouse = 2, Gateway = 3 };

std::string_view name_of(Role role);  // "node", "lighthouse", "gateway"
std::optional<Role> role_from(std::string_view name);

using SignerId = ByteArray<8>;
SignerId signer_id_of(ByteView certificate_der);

// The extended key usage of a signer certificate, and its only one: 2.25.UUID.1 (ITU-T X.667), from
// the UUID ac713719-c4fe-4ca1-ae08-285342dd98af. As text, and as the DER content octets.
inline constexpr std::string_view signer_usage_oid =
    "2.25.229215062394218720325445078132029495471.1";
inline constexpr std::uint8_t signer_usage_oid_der[] = {0x69, 0x82, 0xd8, 0xf1, 0x9b, 0xc6, 0xb8,
                                                        0xcf, 0xf2, 0xb2, 0xc3, 0xae, 0x84, 0x8a,
                                                        0x8a, 0xb4, 0x96, 0xf6, 0xb1, 0x2f, 0x01};

inline constexpr std::size_t attestation_size = 22 + 6 + 32 + 1 + 8 + 8 + 8 + 64;

struct Attestation {
    OrgPrefix prefix;
    PublicKey node;
    Role role = Role::Node;
    std::uint64_t serial = 0;
    WallTime not_after{};
    SignerId signer{};

    auto operator<=>(const Attestation&) const = default;
};

// The bytes that are signed; the signature is appended to them.
Bytes attestation_bytes_to_sign(const Attestation& attestation);

// Takes the bytes apart. A parsed attestation is not a checked one.
Result<Attestation> parse_attestation(ByteView bytes);

// A certificate that may sign attestations, already verified against the org CA
// (os/trust.h, gateway/signer.h).
struct Signer {
    SignerId id{};
    crypto::PointP256 key{};
    WallTime not_before{};
    WallTime not_after{};
};

// Parses and checks: known signer, valid signature, this org's prefix, not expired at `now`, and
// the signer's own life covers `now`. Untrusted otherwise, with the reason.
Result<Attestation> check_attestation(ByteView bytes, const std::vector<Signer>& signers,
                                      const OrgPrefix& prefix, WallTime now);

}  // namespace fortros
