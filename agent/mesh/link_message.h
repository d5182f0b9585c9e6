// What maintainers say to each other, over the overlay: the agreement of two nodes to be peers, its
// end, and whether a path works. One datagram each, 512 bytes at most. What a message says is a wish or
// a hint; that its sender is who it says is the courier's business (courier.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "core/address.h"
#include "core/key.h"
#include "mesh/coordinate.h"

namespace fortros::mesh {

// On the overlay address of each node, and of beacons on its links.
inline constexpr std::uint16_t mesh_port = 5180;
inline constexpr std::size_t message_size_limit = 512;  // the courier's 76 bytes included
inline constexpr std::size_t body_size_limit = message_size_limit - 76;
inline constexpr std::size_t candidates_limit = 6;
inline constexpr std::size_t introductions_limit = 4;

enum class LinkVerb : std::uint8_t {
    Hello = 1,  // nothing but the sessions (courier.h)
    Want,       // let us be peers
    Accept,     // we are
    Refuse,     // we are not, because; ask again after
    MayLeave,   // may this link end?
    Leave,      // it has ended here
    Keep,       // it may not
    Down,       // my way to you is dead: do not send on yours
    Probe,      // answer on the path by which this came
    Echo,
};
std::string_view name_of(LinkVerb verb);  // "want", "may-leave", ...

enum class RefuseReason : std::uint8_t {
    Full = 1,   // no place, and the asker has links enough
    NotMember,  // the attestation does not check, is expired or revoked
    Unwilling,  // a metered or a leaving node, or NATs leave no way
};
std::string_view name_of(RefuseReason reason);

// How a node's own NAT treats it, as far as it knows.
enum class Nat : std::uint8_t { Unknown = 0, None, Cone, Symmetric };
std::string_view name_of(Nat nat);

// What a node says of itself. A hint.
struct Standing {
    std::vector<Endpoint> candidates{};  // where its direct interface may be reached, best first
    Nat nat = Nat::Unknown;
    // It keeps no idle link open through its NAT; on the wire 128, added to `nat`.
    bool sleeps = false;
    std::uint16_t links = 0;  // direct ones that work, lighthouses not counted
    std::uint16_t room = 0;   // how many more scored ones it would take
    Coordinate place{};       // on the map of latencies
    bool operator==(const Standing&) const = default;
};

// Somebody near, whom the other might want to know. A hint.
struct Introduction {
    PublicKey key;
    std::uint16_t rtt_ms = 0;  // from the sender
    Coordinate place{};
    bool operator==(const Introduction&) const = default;
};

struct LinkMessage {
    LinkVerb verb = LinkVerb::Probe;
    std::uint64_t nonce = 0;    // of Probe, repeated by Echo; of a request, by its answer
    std::uint64_t confirm = 0;  // Accept: the nonce of the Probe (or Leave) that answers it
    Standing standing{};        // Want, Accept, Echo, MayLeave
    Bytes attestation{};        // Want, Accept
    RefuseReason refusal = RefuseReason::Full;  // Refuse
    std::uint16_t retry_after_s = 0;            // Refuse
    std::optional<Endpoint> seen{};  // Accept, Echo: where the sender's kernel sees the receiver
    bool linked = false;             // Probe, Echo: the sender holds this link for agreed
    std::vector<Introduction> introductions{};  // Echo
    bool operator==(const LinkMessage&) const = default;
};

// The body of a datagram. Parsing checks form and bounds; what follows the known fields is an error.
Bytes encode(const LinkMessage& message);
Result<LinkMessage> parse_link_message(ByteView bytes);

}  // namespace fortros::mesh
