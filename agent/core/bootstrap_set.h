// The bootstrap set: the org's signed word to one node whom it may peer with at its next boot before
// any gateway has answered. It is discovery for a member, and only for as long as it lives; it says
// nothing about anybody's membership.
//
//   "fortros/bootstrap/v1" || prefix48 (6) || node key (32) || role (1) || serial (8) ||
//   not-after (8, seconds since 1970) || policy serial (8) || revocation number (8) ||
//   signer id (8) || number of peers (1) || peers || r || s (64)
//   peer: key (32) || role (1) || keepalive (2, seconds) || number of endpoints (1) || endpoints
//   endpoint: family (1: 4 or 6) || address (4 or 16) || port (2)
//
// Numbers are big-endian. The signature is ECDSA P-256 with SHA-256 over everything before it, by a
// signer of attestations (core/attestation.h). Vectors in tests/vectors/bootstrap_set.json.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "core/attestation.h"
#include "core/key.h"
#include "core/overlay.h"
#include "core/overlay_plan.h"

namespace fortros {

inline constexpr std::size_t bootstrap_set_limit = 1024;  // bytes
inline constexpr std::size_t bootstrap_peers_limit = 8;
inline constexpr std::size_t bootstrap_endpoints_limit = 3;  // of each peer
inline constexpr std::chrono::days bootstrap_set_life{14};
// How far a node's clock may be behind the gateway's that signed: what lives longer is refused.
inline constexpr std::chrono::days bootstrap_clock_slack{1};

struct BootstrapSet {
    OrgPrefix prefix;
    PublicKey node;  // whom it is for
    Role role = Role::Node;
    std::uint64_t serial = 0;  // only grows: the signing gateway's seconds since 1970
    WallTime not_after{};
    std::uint64_t policy_serial = 0;
    std::uint64_t revocation_number = 0;
    SignerId signer{};
    // Gateways and lighthouses, the preferred first. Overlay addresses follow from prefix and keys,
    // attestations are empty.
    std::vector<MeshPeer> peers{};

    bool operator==(const BootstrapSet&) const = default;
};

// Those of an answer's peers that belong into a set, in their order and cut to its bounds; both
// families stay where a peer has both.
std::vector<MeshPeer> bootstrap_peers_of(const std::vector<MeshPeer>& peers);

// The bytes that are signed; the signature is appended to them. The peers must be within the bounds.
Bytes bootstrap_bytes_to_sign(const BootstrapSet& set);

// Takes the bytes apart. A parsed set is not a checked one.
Result<BootstrapSet> parse_bootstrap_set(ByteView bytes);

// Parses (InvalidData) and checks: known signer whose own life covers `now`, valid signature, this
// org's prefix, this node's key, not expired, no longer life than a set may have, and peers of
// different keys whose endpoints are hosts outside of the overlay. Untrusted otherwise, with the
// reason. Whether a newer serial was seen before is the caller's to say.
Result<BootstrapSet> check_bootstrap_set(ByteView bytes, const std::vector<Signer>& signers,
                                         const OrgPrefix& prefix, const PublicKey& node,
                                         WallTime now);

// Whether `fresh` is worth a write to flash in place of the stored set, which is absent where it no
// longer checks: it says something else (the order of the peers aside), or half of the stored one's
// life is gone and the fresh one's reaches further.
bool should_replace(const std::optional<BootstrapSet>& stored, const BootstrapSet& fresh,
                    WallTime now);

}  // namespace fortros
