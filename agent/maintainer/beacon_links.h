// The links that beacons are sent on, of those that the host has. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "core/address.h"
#include "core/link_state.h"
#include "core/overlay.h"

namespace fortros {

// A link that beacons are sent on, with an address of each family that it has. Link-local ones are not
// among them: WireGuard would need to know the link, too.
struct BeaconLink {
    unsigned ifindex = 0;
    std::optional<IpAddress> v4{};
    std::optional<IpAddress> v6{};
    bool operator==(const BeaconLink&) const = default;
};
inline constexpr std::size_t beacon_links_limit = 16;
// Links that can have neighbours, never the overlay's own.
std::vector<BeaconLink> beacon_links_of(const std::vector<LinkState>& links,
                                        const OrgPrefix& prefix);

}  // namespace fortros
