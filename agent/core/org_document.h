// The org document: what the organisation says to all of its nodes at once, signed and numbered: its
// prefix and domain, which sources may name a gateway, who is revoked, and which signers still count.
// Policy and prefix change by it and by nothing else. It says nothing to a node of another organisation.
//
//   "fortros/org-document/v1" || prefix48 (6) || serial (8) || signers since (8, seconds since 1970) ||
//   sources (1; 0: as the image says) || revocation number (8) || signer id (8) ||
//   length of the domain (1) || domain || number of revoked keys (2) || revoked keys (32 each) ||
//   r || s (64)
//
// Numbers are big-endian. The signature is ECDSA P-256 with SHA-256 over everything before it, by a
// signer of attestations (core/attestation.h). Vectors in tests/vectors/org_document.json.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "core/attestation.h"
#include "core/discovery.h"
#include "core/key.h"
#include "core/overlay.h"

namespace fortros {

inline constexpr std::size_t document_revoked_limit = 1024;
inline constexpr std::size_t document_domain_limit = 253;
inline constexpr std::size_t document_size_limit = 23 + 6 + 8 + 8 + 1 + 8 + 8 + 1 +
                                                   document_domain_limit + 2 +
                                                   document_revoked_limit * key_size + 64;

struct OrgDocument {
    OrgPrefix prefix;
    std::uint64_t serial = 0;  // only grows: who has seen a newer one takes no older one
    // A signer whose certificate began before this counts no more. So a stolen one is disowned by its
    // successor, and cannot disown in turn: none may name a moment after its own beginning.
    WallTime signers_since{};
    // What may name a gateway to a node that is enrolled, within what its image allows. Absent: the
    // document changes nothing about it.
    std::optional<SourceSet> sources{};
    std::uint64_t revocation_number = 0;  // how many there ever were
    SignerId signer{};
    std::string domain{};
    // Whose attestation could still be taken for good, oldest revocation first.
    std::vector<PublicKey> revoked{};

    bool operator==(const OrgDocument&) const = default;
};

// What the org documents that were ever seen leave behind, though none of them is at hand: no older one
// is taken, and no signer that began before.
struct OrgFloor {
    std::uint64_t serial = 0;
    WallTime signers_since{};

    void rise(const OrgDocument& seen) {
        serial = std::max(serial, seen.serial);
        signers_since = std::max(signers_since, seen.signers_since);
    }
    bool operator==(const OrgFloor&) const = default;
};

bool revokes(const OrgDocument& document, const PublicKey& node);

// The bytes that are signed; the signature is appended to them. The fields must be within the bounds.
Bytes document_bytes_to_sign(const OrgDocument& document);

// Takes the bytes apart. A parsed document is not a checked one.
Result<OrgDocument> parse_org_document(ByteView bytes);

// Parses (InvalidData) and checks: known signer whose own life covers `now`, that is not disowned by
// the document itself, and a valid signature. Untrusted otherwise, with the reason. Which prefix and
// which serial are expected is the caller's to say.
Result<OrgDocument> check_org_document(ByteView bytes, const std::vector<Signer>& signers,
                                       WallTime now);

}  // namespace fortros
