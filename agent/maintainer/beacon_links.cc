#include "maintainer/beacon_links.h"

#include "core/overlay_plan.h"

namespace fortros {

static bool can_have_neighbours(const LinkState& link) {
    return link.up && link.carrier && !link.is_port && link.kind != "wireguard" &&
           link.kind != "tun" && !is_overlay_interface(link.name);
}

std::vector<BeaconLink> beacon_links_of(const std::vector<LinkState>& links,
                                        const OrgPrefix& prefix) {
    std::vector<BeaconLink> found;
    for (const LinkState& state : links) {
        if (!can_have_neighbours(state) || found.size() == beacon_links_limit) continue;
        BeaconLink link{.ifindex = state.ifindex};
        for (const LinkAddress& address : state.addresses) {
            const IpAddress& own = address.network.address;
            if (!address.settled || own.is_link_local() || own.is_loopback() ||
                prefix.contains(own))
                continue;
            auto& of_family = own.is_v4() ? link.v4 : link.v6;
            if (!of_family) of_family = own;
        }
        if (link.v4 || link.v6) found.push_back(link);
    }
    return found;
}

}  // namespace fortros
