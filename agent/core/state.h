// What a node remembers between boots, and its bytes in the UEFI variable FortrosState (or a file).
// A cache that can't hurt: anything that is not exactly a whole, sound state of a version that we
// know reads as absent, with the reason. The node's private key is never in it.
//
//   "FORTROS\x01" (magic, version) || length of the fields (2) || fields || first 8 bytes of
//   SHA-256 over everything before
//   field: tag (1) || length (2) || value; numbers big-endian; a tag that is not known is skipped,
//   a known one that appears twice is an error
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "core/address.h"
#include "core/key.h"
#include "core/overlay.h"
#include "core/source.h"

namespace fortros {

inline constexpr std::size_t state_size_limit = 2048;
inline constexpr std::size_t state_gateways_limit = 8;
inline constexpr std::size_t bootstrap_signer_limit = 640;

struct NodeState {
    PublicKey node;  // whose state this is: must fit the key in the key store
    // False from the moment before the key is stored until a gateway has answered the enrolment.
    // So a power cut in between is told from a lost state: only the former may use wide sources.
    bool enrolled = false;
    std::optional<OrgPrefix> prefix{};  // known once enrolled
    std::vector<Endpoint> gateways{};   // HTTPS endpoints that authenticated, newest first
    WallTime clock_floor{};             // newest notBefore seen in an authenticated chain
    std::optional<SourceSet> policy{};  // sources allowed from now on, if narrower than the file's
    std::uint64_t document_serial = 0;  // newest org document seen, and what it says of signers
    WallTime signers_since{};           // (core/org_document.h)
    std::uint64_t attestation_serial = 0;  // newest attestation of this node
    bool revoked = false;                  // an authenticated gateway said so
    Bytes attestation{};  // this node's own, for the hand-off of a boot that no gateway answered
    // core/bootstrap_set.h, and its signer's certificate (DER): both or neither. Nothing here has
    // been checked: flash is anybody's.
    Bytes bootstrap_set{};
    Bytes bootstrap_signer{};
    std::uint64_t bootstrap_serial = 0;  // the highest ever seen: an older set is a replayed one

    bool operator==(const NodeState&) const = default;
};

// At most state_size_limit bytes; only the newest state_gateways_limit gateways are kept, and a
// bootstrap set only if it and its signer's certificate fit: the next boot is slower without it, but
// not wrong.
Bytes encode(const NodeState& state);
Result<NodeState> decode_state(ByteView bytes);

}  // namespace fortros
