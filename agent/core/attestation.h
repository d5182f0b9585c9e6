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
#include "core/key.h"
#include "core/overlay.h"
#include "core/signer.h"

namespace fortros {

enum class Role : std::uint8_t { Node = 1, Lighthouse = 2, Gateway = 3 };

std::string_view name_of(Role role);  // "node", "lighthouse", "gateway"
std::optional<Role> role_from(std::string_view name);

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

// Parses and checks: known signer, valid signature, this org's prefix, not expired at `now`, and
// the signer's own life covers `now`. Untrusted otherwise, with the reason.
Result<Attestation> check_attestation(ByteView bytes, const std::vector<Signer>& signers,
                                      const OrgPrefix& prefix, WallTime now);

}  // namespace fortros
