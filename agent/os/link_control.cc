#include "os/link_control.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "os/fd.h"

namespace fortros {

// IF_RA_MANAGED and IF_RA_OTHERCONF of the kernel's net/if_inet6.h, which no header exports; they
// come to programs as they are.
static constexpr std::uint32_t ra_managed = 0x40;
static constexpr std::uint32_t ra_other_configuration = 0x80;

// Better than the 1024 that the kernel's own have, each further router the next.
static constexpr std::uint32_t preferred_router_metric = 512;

Result<LinkControl> LinkControl::create() {
    return LinkControl(TRY(Netlink::create(NETLINK_ROUTE)));
}

static std::uint8_t family_of(const IpAddress& address) {
    return address.is_v4() ? AF_INET : AF_INET6;
}

// --- observe ------------------------------------------------------------------------------------

static std::uint32_t number_in(const std::optional<NetlinkAttribute>& attribute) {
    return attribute ? attribute->u32().value_or(0) : 0;
}

static std::optional<IpAddress> address_in(const std::optional<NetlinkAttribute>& attribute) {
    return attribute ? IpAddress::from_bytes(attribute->payload()) : std::nullopt;
}

// Of the flags that the kernel keeps of the latest router advertisement (RFC 4861 section 4.2).
static Dhcp6Wish wish_in(const NetlinkAttributes& attributes) {
    const auto families = attributes.find(IFLA_AF_SPEC);
    const auto ipv6 = families ? NetlinkAttributes(*families).find(AF_INET6) : std::nullopt;
    if (!ipv6) return Dhcp6Wish::Nothing;
    const std::uint32_t flags = number_in(NetlinkAttributes(*ipv6).find(IFLA_INET6_FLAGS));
    if (flags & ra_managed) return Dhcp6Wish::Address;
    return flags & ra_other_configuration ? Dhcp6Wish::Information : Dhcp6Wish::Nothing;
}

static Status gather_link(std::vector<LinkState>& links, const nlmsghdr& message) {
    const auto* header = family_header<ifinfomsg>(message);
    if (!header || message.nlmsg_type != RTM_NEWLINK || (header->ifi_flags & IFF_LOOPBACK))
        return {};
    constexpr unsigned running = IFF_RUNNING | IFF_LOWER_UP;
    LinkState link{.ifindex = static_cast<unsigned>(header->ifi_index),
                   .up = (header->ifi_flags & IFF_UP) != 0,
                   .carrier = (header->ifi_flags & running) == running};
    const auto attributes = NetlinkAttributes::of<ifinfomsg>(message);
    if (const auto name = attributes.find(IFLA_IFNAME)) link.name = name->text();
    if (const auto info = attributes.find(IFLA_LINKINFO))
        if (const auto kind = NetlinkAttributes(*info).find(IFLA_INFO_KIND))
            link.kind = kind->text();
    const auto mac = attributes.find(IFLA_ADDRESS);
    link.ethernet =
        header->ifi_type == ARPHRD_ETHER && mac && mac->payload().size() == link.mac.size();
    if (link.ethernet) std::ranges::copy(mac->payload(), link.mac.begin());
    link.is_port = number_in(attributes.find(IFLA_MASTER)) != 0;
    link.carrier_changes = number_in(attributes.find(IFLA_CARRIER_CHANGES));
    link.mtu = number_in(attributes.find(IFLA_MTU));
    link.dhcp6_wish = wish_in(attributes);
    links.push_back(std::move(link));
    return {};
}

struct FoundAddress {
    unsigned ifindex = 0;
    LinkAddress address;
};

static Status gather_address(std::vector<FoundAddress>& found, const nlmsghdr& message) {
    const auto* header = family_header<ifaddrmsg>(message);
    if (!header || message.nlmsg_type != RTM_NEWADDR) return {};
    const auto attributes = NetlinkAttributes::of<ifaddrmsg>(message);
    auto address = address_in(attributes.find(IFA_LOCAL));
    if (!address) address = address_in(attributes.find(IFA_ADDRESS));
    if (!address) return {};
    std::uint32_t flags = header->ifa_flags;
    if (const auto all = attributes.find(IFA_FLAGS)) flags = number_in(all);
    constexpr std::uint32_t unsettled = IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED;
    found.push_back({header->ifa_index,
                     {.network = {*address, header->ifa_prefixlen},
                      .global = header->ifa_scope == RT_SCOPE_UNIVERSE,
                      .settled = (flags & unsettled) == 0,
                      .duplicate = (flags & IFA_F_DADFAILED) != 0}});
    return {};
}

struct FoundGateway {
    unsigned ifindex = 0;
    std::uint32_t metric = 0;
    IpAddress gateway;
    std::uint8_t protocol = 0;
    std::uint32_t seconds = 0;  // left; 0: for ever
};

// The kernel tells times in hundredths of a second.
static std::uint32_t seconds_in(const std::optional<NetlinkAttribute>& attribute) {
    const auto times = attribute ? attribute->as<rta_cacheinfo>() : std::nullopt;
    return times && times->rta_expires > 0
               ? static_cast<std::uint32_t>(times->rta_expires) / 100 + 1
               : 0;
}

static Status gather_gateway(std::vector<FoundGateway>& found, const nlmsghdr& message) {
    const auto* header = family_header<rtmsg>(message);
    if (!header || message.nlmsg_type != RTM_NEWROUTE || header->rtm_dst_len != 0 ||
        header->rtm_table != RT_TABLE_MAIN || header->rtm_type != RTN_UNICAST ||
        (header->rtm_flags & (RTM_F_CLONED | RTNH_F_DEAD)))
        return {};
    const auto attributes = NetlinkAttributes::of<rtmsg>(message);
    const auto gateway = address_in(attributes.find(RTA_GATEWAY));
    if (!gateway) return {};
    found.push_back({.ifindex = number_in(attributes.find(RTA_OIF)),
                     .metric = number_in(attributes.find(RTA_PRIORITY)),
                     .gateway = *gateway,
                     .protocol = header->rtm_protocol,
                     .seconds = seconds_in(attributes.find(RTA_CACHEINFO))});
    return {};
}

// Everything is read anew each time: the kernel says nothing when it drops IPv4 routes together
// with an address or a link, so a table kept by events alone would go wrong.
Result<std::vector<LinkState>> LinkControl::observe() {
    NetlinkMessage links(RTM_GETLINK, 0, ifinfomsg{});
    links.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    auto states =
        TRY(m_route.dump<std::vector<LinkState>>(links, "cannot list interfaces", gather_link));

    NetlinkMessage addresses(RTM_GETADDR, 0, ifaddrmsg{});
    const auto found_addresses = TRY(m_route.dump<std::vector<FoundAddress>>(
        addresses, "cannot list addresses", gather_address));
    NetlinkMessage routes(RTM_GETROUTE, 0, rtmsg{});
    auto found_gateways =
        TRY(m_route.dump<std::vector<FoundGateway>>(routes, "cannot list routes", gather_gateway));
    std::ranges::stable_sort(found_gateways, {}, &FoundGateway::metric);
    std::ranges::stable_partition(found_gateways,
                                  [](const FoundGateway& it) { return it.gateway.is_v4(); });

    for (LinkState& state : states) {
        for (const FoundAddress& found : found_addresses)
            if (found.ifindex == state.ifindex && state.addresses.size() < link_addresses_limit)
                state.addresses.push_back(found.address);
        for (const FoundGateway& found : found_gateways)
            if (found.ifindex == state.ifindex && state.gateways.size() < link_gateways_limit &&
                !std::ranges::contains(state.gateways, found.gateway))
                state.gateways.push_back(found.gateway);
    }
    return states;
}

Result<unsigned> LinkControl::link_towards(const IpAddress& address) {
    NetlinkMessage request(RTM_GETROUTE, 0,
                           rtmsg{.rtm_family = family_of(address),
                                 .rtm_dst_len = static_cast<std::uint8_t>(address.bits())});
    request.bytes(RTA_DST, address.bytes());
    unsigned ifindex = 0;
    TRY(m_route.talk(
        request, "no route to " + address.text(), [&](const nlmsghdr& message) -> Status {
            if (family_header<rtmsg>(message) && message.nlmsg_type == RTM_NEWROUTE)
                ifindex = number_in(NetlinkAttributes::of<rtmsg>(message).find(RTA_OIF));
            return {};
        }));
    if (ifindex == 0) return fail(ErrorCode::Unreachable, "no route to " + address.text());
    return ifindex;
}

// --- change -------------------------------------------------------------------------------------

Status LinkControl::bring_up(unsigned ifindex) {
    NetlinkMessage request(
        RTM_SETLINK, 0,
        ifinfomsg{
            .ifi_index = static_cast<int>(ifindex), .ifi_flags = IFF_UP, .ifi_change = IFF_UP});
    return m_route.talk(request, "cannot be brought up");
}

Status LinkControl::add_vlan(const VlanSetting& vlan, unsigned parent) {
    NetlinkMessage request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
    request.text(IFLA_IFNAME, vlan.name).u32(IFLA_LINK, parent);
    request.nest(IFLA_LINKINFO, [&] {
        request.text(IFLA_INFO_KIND, "vlan");
        request.nest(IFLA_INFO_DATA, [&] { request.u16(IFLA_VLAN_ID, vlan.id); });
    });
    return m_route.talk(request, "cannot be made on " + vlan.parent);
}

Status LinkControl::set_mtu(unsigned ifindex, std::uint32_t mtu) {
    NetlinkMessage request(RTM_SETLINK, 0, ifinfomsg{.ifi_index = static_cast<int>(ifindex)});
    request.u32(IFLA_MTU, mtu);
    return m_route.talk(request, "cannot set the MTU to " + std::to_string(mtu));
}

Status LinkControl::pass_over_without_carrier(const std::string& name) {
    for (const char* family : {"ipv4", "ipv6"}) {
        const std::string path = std::string("/proc/sys/net/") + family + "/conf/" + name +
                                 "/ignore_routes_with_linkdown";
        const Fd file{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
        if (!file.valid() || ::write(file.get(), "1", 1) != 1)
            return fail_errno(errno, "cannot set '" + path + "'");
    }
    return {};
}

Status LinkControl::set_address(unsigned ifindex, const AddressSetting& address,
                                std::uint32_t metric) {
    const IpNetwork& network = address.network;
    NetlinkMessage request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE,
                           ifaddrmsg{.ifa_family = family_of(network.address),
                                     .ifa_prefixlen = network.length,
                                     .ifa_scope = RT_SCOPE_UNIVERSE,
                                     .ifa_index = ifindex});
    request.bytes(IFA_LOCAL, network.address.bytes())
        .bytes(IFA_ADDRESS, network.address.bytes())
        .u32(IFA_RT_PRIORITY, metric);
    if (address.broadcast) request.bytes(IFA_BROADCAST, address.broadcast->bytes());
    // The kernel takes the address away by itself when nobody renews the lease any more. Its "for
    // ever" is the same number as DHCP's.
    const auto lifetime = static_cast<std::uint32_t>(address.lifetime.count());
    const auto preferred = static_cast<std::uint32_t>(address.preferred.count());
    const ifa_cacheinfo times{.ifa_prefered = std::min(preferred, lifetime), .ifa_valid = lifetime};
    request.bytes(IFA_CACHEINFO, {reinterpret_cast<const std::uint8_t*>(&times), sizeof(times)});
    return m_route.talk(request, "cannot set address " + network.text());
}

Status LinkControl::remove_address(unsigned ifindex, const IpNetwork& network) {
    NetlinkMessage request(RTM_DELADDR, 0,
                           ifaddrmsg{.ifa_family = family_of(network.address),
                                     .ifa_prefixlen = network.length,
                                     .ifa_index = ifindex});
    request.bytes(IFA_LOCAL, network.address.bytes()).bytes(IFA_ADDRESS, network.address.bytes());
    return m_route.talk(request, "cannot remove address " + network.text());
}

Status LinkControl::change_route(RouteChange change, unsigned ifindex, const RouteSetting& route,
                                 const LinkConfiguration& configuration) {
    const bool set = change == RouteChange::Set;
    const bool is_v4 = route.destination.address.is_v4();
    const bool near = is_v4 && !route.gateway;
    const auto protocol = static_cast<std::uint8_t>(
        configuration.by == ConfiguredBy::Dhcp ? RTPROT_DHCP : RTPROT_STATIC);
    NetlinkMessage request(
        set ? RTM_NEWROUTE : RTM_DELROUTE, set ? NLM_F_CREATE | NLM_F_REPLACE : 0,
        rtmsg{.rtm_family = family_of(route.destination.address),
              .rtm_dst_len = route.destination.length,
              .rtm_table = RT_TABLE_MAIN,
              .rtm_protocol = protocol,
              .rtm_scope = static_cast<std::uint8_t>(near ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE),
              .rtm_type = RTN_UNICAST,
              .rtm_flags = route.reach == GatewayReach::OnLink ? RTNH_F_ONLINK : 0U});
    if (route.destination.length > 0) request.bytes(RTA_DST, route.destination.address.bytes());
    request.u32(RTA_OIF, ifindex).u32(RTA_PRIORITY, configuration.metric);
    if (route.gateway) request.bytes(RTA_GATEWAY, route.gateway->bytes());
    if (set && route.source) request.bytes(RTA_PREFSRC, route.source->bytes());
    return m_route.talk(request, std::string(set ? "cannot set" : "cannot remove") +
                                     " the route to " + route.destination.text());
}

Status LinkControl::change_router(RouteChange change, unsigned ifindex, const IpAddress& router,
                                  std::uint32_t metric, std::uint32_t seconds) {
    const bool set = change == RouteChange::Set;
    NetlinkMessage request(set ? RTM_NEWROUTE : RTM_DELROUTE,
                           set ? NLM_F_CREATE | NLM_F_REPLACE : 0,
                           rtmsg{.rtm_family = AF_INET6,
                                 .rtm_table = RT_TABLE_MAIN,
                                 .rtm_protocol = RTPROT_STATIC,
                                 .rtm_scope = RT_SCOPE_UNIVERSE,
                                 .rtm_type = RTN_UNICAST});
    request.u32(RTA_OIF, ifindex).u32(RTA_PRIORITY, metric).bytes(RTA_GATEWAY, router.bytes());
    if (set && seconds > 0) request.u32(RTA_EXPIRES, seconds);
    return m_route.talk(request, std::string(set ? "cannot prefer" : "cannot stop preferring") +
                                     " the router " + router.text());
}

static Result<std::vector<FoundGateway>> find_routers(Netlink& netlink, unsigned ifindex,
                                                      std::uint8_t protocol) {
    NetlinkMessage request(RTM_GETROUTE, 0, rtmsg{.rtm_family = AF_INET6});
    auto found =
        TRY(netlink.dump<std::vector<FoundGateway>>(request, "cannot list routes", gather_gateway));
    std::erase_if(found, [&](const FoundGateway& it) {
        return it.ifindex != ifindex || it.protocol != protocol || it.gateway.is_v4();
    });
    return found;
}

// Those that prefer_routers() has put there.
static Result<std::vector<FoundGateway>> find_preferred(Netlink& netlink, unsigned ifindex) {
    auto found = TRY(find_routers(netlink, ifindex, RTPROT_STATIC));
    std::erase_if(found, [](const FoundGateway& it) {
        return it.metric < preferred_router_metric ||
               it.metric >= preferred_router_metric + link_gateways_limit;
    });
    return found;
}

// A route that is set anew tells everybody, us included: what differs by a moment is the same.
static bool lasts_alike(const FoundGateway& a, const FoundGateway& b) {
    constexpr std::uint32_t moment = 2;
    if (a.seconds == 0 || b.seconds == 0) return a.seconds == b.seconds;
    return std::max(a.seconds, b.seconds) - std::min(a.seconds, b.seconds) <= moment;
}

static std::uint32_t free_metric(const std::vector<FoundGateway>& preferred) {
    std::uint32_t metric = preferred_router_metric;
    while (std::ranges::contains(preferred, metric, &FoundGateway::metric)) ++metric;
    return metric;
}

Result<std::optional<std::chrono::seconds>> LinkControl::prefer_routers(unsigned ifindex) {
    auto routers = TRY(find_routers(m_route, ifindex, RTPROT_RA));
    if (routers.size() > link_gateways_limit) routers.resize(link_gateways_limit);
    auto preferred = TRY(find_preferred(m_route, ifindex));
    for (const auto& old : preferred)
        if (!std::ranges::contains(routers, old.gateway, &FoundGateway::gateway))
            TRY(change_router(RouteChange::Remove, ifindex, old.gateway, old.metric, 0));
    std::erase_if(preferred, [&](const FoundGateway& old) {
        return !std::ranges::contains(routers, old.gateway, &FoundGateway::gateway);
    });
    std::optional<std::chrono::seconds> lasts;
    for (FoundGateway router : routers) {
        const auto old = std::ranges::find(preferred, router.gateway, &FoundGateway::gateway);
        if (const std::chrono::seconds left{router.seconds}; left > 0s)
            lasts = std::min(left, lasts.value_or(left));
        if (old != preferred.end() && lasts_alike(*old, router)) continue;
        router.metric = old == preferred.end() ? free_metric(preferred) : old->metric;
        TRY(change_router(RouteChange::Set, ifindex, router.gateway, router.metric,
                          router.seconds));
        if (old == preferred.end()) preferred.push_back(router);
    }
    return lasts;
}

Status LinkControl::stop_preferring_routers(unsigned ifindex) {
    for (const auto& found : TRY(find_preferred(m_route, ifindex)))
        TRY(change_router(RouteChange::Remove, ifindex, found.gateway, found.metric, 0));
    return {};
}

// What is gone already is as it should be.
static Status forgive_absence(Status status) {
    if (!status && (status.error().system == EADDRNOTAVAIL || status.error().system == ESRCH ||
                    status.error().system == ENODEV))
        return {};
    return status;
}

Status LinkControl::apply(unsigned ifindex, const LinkConfiguration& want,
                          const LinkConfiguration& have) {
    Status first;
    const auto note = [&](Status done) {
        if (first && !done) first = std::move(done);
    };
    // First, for the kernel takes an IPv4 network's later addresses away with its first.
    for (const AddressSetting& old : have.addresses)
        if (!std::ranges::contains(want.addresses, old.network, &AddressSetting::network))
            note(forgive_absence(remove_address(ifindex, old.network)));
    for (const AddressSetting& address : want.addresses)
        note(set_address(ifindex, address, want.metric));
    for (const RouteSetting& route : want.routes)
        note(change_route(RouteChange::Set, ifindex, route, want));

    // A route is told apart from another by where it leads and its metric; set anew it has replaced
    // the one that was there.
    for (const RouteSetting& old : have.routes)
        if (want.metric != have.metric ||
            std::ranges::find(want.routes, old.destination, &RouteSetting::destination) ==
                want.routes.end())
            note(forgive_absence(change_route(RouteChange::Remove, ifindex, old, have)));
    return first;
}

}  // namespace fortros
