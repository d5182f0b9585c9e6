// Where nodes may be reached: what a node tells others of itself, what it makes of what others told
// it, and how its NAT treats it. Pure; it tries nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/address.h"
#include "core/overlay.h"
#include "mesh/link_message.h"

namespace fortros::mesh {

// Endpoints tried in turn for one peer.
inline constexpr std::size_t tries_limit = 8;
// A node's own addresses that it tells of.
inline constexpr std::size_t own_addresses_limit = 3;

// Where another node's kernel sees this one.
struct Sight {
    Endpoint seen;
    bool direct = false;  // of the direct interface; otherwise of one towards a lighthouse
    bool operator==(const Sight&) const = default;
};

struct Whereabouts {
    std::vector<Endpoint> candidates{};  // best first, at most candidates_limit
    Nat nat = Nat::Unknown;
};

// Of this node. A lighthouse sees another port than the direct one, but the same address; with the
// direct port that is a guess, right where a NAT keeps ports.
Whereabouts whereabouts(std::span<const IpAddress> underlay, std::uint16_t direct_port,
                        std::span<const Sight> sights);

// A host's address that a tunnel may be sent to: nothing inside `prefix`, no multicast, no loopback.
bool is_usable(const Endpoint& endpoint, const OrgPrefix& prefix);

// Reachable inside some site only (RFC 1918, RFC 6598, RFC 3927, RFC 4193).
bool is_private(const IpAddress& address);

struct TryFor {
    std::optional<Endpoint> lan{};       // by its beacon
    std::span<const Endpoint> told{};    // by itself
    std::span<const Endpoint> listed{};  // by the org
};
// In the order in which to try: the link first, then private ones where both are behind one NAT or in
// one network, public ones, and the other private ones last. `own` candidates tell where we are.
std::vector<Endpoint> tries(const TryFor& peer, std::span<const IpAddress> underlay,
                            std::span<const Endpoint> own, const OrgPrefix& prefix);

}  // namespace fortros::mesh
