#include "core/link_configuration.h"

#include <algorithm>

namespace fortros {

// The last address of an IPv4 network; none where there are only two hosts or one (RFC 3021).
static std::optional<IpAddress> last_address(const IpNetwork& network) {
    if (!network.address.is_v4() || network.length > 30) return std::nullopt;
    std::uint32_t bits = ByteReader(network.address.bytes()).u32();
    bits |= 0xffffffffU >> network.length;
    return IpAddress::from_bytes(ByteWriter().u32(bits).view());
}

static IpNetwork everything(Family family) {
    return {family == Family::IPv4 ? IpAddress{} : IpAddress::v6({}), 0};
}

LinkConfiguration configuration_of(const DhcpLease& lease, std::uint32_t metric) {
    LinkConfiguration out{.by = ConfiguredBy::Dhcp, .metric = metric, .mtu = lease.mtu};
    out.addresses.push_back(
        {.network = lease.address,
         .broadcast = lease.broadcast ? lease.broadcast : last_address(lease.address),
         .lifetime = lease.lifetime});
    for (const DhcpRoute& route : lease.routes) {
        // Some old servers name the client itself as the router; the kernel refuses that.
        if (route.gateway == lease.address.address) continue;
        RouteSetting setting{.destination = route.destination, .source = lease.address.address};
        if (!route.gateway.is_unspecified()) setting.gateway = route.gateway;
        // Clouds give a /32 and a router outside of it (RFC 3442 leaves how to reach it to us).
        if (setting.gateway && !lease.address.contains(*setting.gateway))
            setting.reach = GatewayReach::OnLink;
        out.routes.push_back(setting);
    }
    // A route that is on the link is in place before one that may need it.
    std::ranges::stable_partition(out.routes, [](const RouteSetting& it) { return !it.gateway; });
    return out;
}

LinkConfiguration configuration_of(const Dhcp6Lease& lease, std::uint32_t metric) {
    LinkConfiguration out{.by = ConfiguredBy::Dhcp, .metric = metric};
    if (lease.address)
        out.addresses.push_back({.network = IpNetwork::host(*lease.address),
                                 .lifetime = lease.lifetime,
                                 .preferred = lease.preferred});
    return out;
}

LinkConfiguration static_configuration_of(const Settings& settings, std::uint32_t metric) {
    LinkConfiguration out{.by = ConfiguredBy::Settings, .metric = metric};
    for (const IpNetwork& network : settings.static_addresses)
        out.addresses.push_back({.network = network, .broadcast = last_address(network)});
    for (const IpAddress& gateway : settings.static_gateways) {
        const bool is_near = std::ranges::any_of(
            settings.static_addresses, [&](const auto& it) { return it.contains(gateway); });
        out.routes.push_back({.destination = everything(gateway.family()),
                              .gateway = gateway,
                              .reach = is_near ? GatewayReach::ByAddress : GatewayReach::OnLink});
    }
    return out;
}

}  // namespace fortros
