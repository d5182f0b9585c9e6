#include "core/link_state.h"

#include <algorithm>
#include <array>

namespace fortros {

// Virtual interfaces that an initramfs makes to be used as links. All others (wireguard, tun, dummy,
// tunnels) are somebody's and none of ours.
static constexpr std::array<std::string_view, 6> link_kinds = {"veth", "vlan",   "bond",
                                                               "team", "bridge", "macvlan"};

std::string reason_to_leave(const LinkState& link, const Settings& settings) {
    if (!link.ethernet) return "not Ethernet";
    if (!link.kind.empty() && std::ranges::find(link_kinds, link.kind) == link_kinds.end())
        return "a " + link.kind + " interface";
    if (link.is_port) return "a port of another interface";
    if (!interface_allowed(settings, link.name)) return "not among Interfaces=";
    if (only_carries_vlans(settings, link.name)) return "only the parent of a VLAN";
    return {};
}

// What the reader of a hand-over accepts.
static constexpr std::size_t resolvers_limit = 64;

static bool contains(const std::vector<IpAddress>& list, const IpAddress& address) {
    return std::ranges::find(list, address) != list.end();
}

LinkReport report_of(const LinkState& link, const LinkKnowledge& knowledge) {
    LinkReport report{.ifindex = link.ifindex,
                      .name = link.name,
                      .mac = to_text(link.mac),
                      .gateways = link.gateways};
    if (link.up && link.carrier)
        for (const LinkAddress& address : link.addresses)
            if (address.global && address.settled &&
                !contains(knowledge.discounted, address.network.address))
                report.addresses.push_back(address.network);
    // IPv4 first, otherwise as the kernel has them.
    std::ranges::stable_partition(report.addresses,
                                  [](const IpNetwork& it) { return it.address.is_v4(); });
    const auto add = [&](const std::vector<IpAddress>& resolvers) {
        for (const IpAddress& resolver : resolvers)
            if (report.resolvers.size() < resolvers_limit && !contains(report.resolvers, resolver))
                report.resolvers.push_back(resolver);
    };
    if (knowledge.lease) {
        report.dhcp = *knowledge.lease;
        add(knowledge.lease->resolvers);
    }
    add(knowledge.resolvers);
    if (knowledge.lease6) {
        report.dhcp6 = *knowledge.lease6;
        add(knowledge.lease6->resolvers);
    }
    return report;
}

}  // namespace fortros
