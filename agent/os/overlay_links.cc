#include "os/overlay_links.h"

#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/wireguard.h>
#include <sys/socket.h>

#include <algorithm>

#include "core/crypto.h"

namespace fortros {

Result<OverlayLinks> OverlayLinks::create() {
    Netlink route = TRY(Netlink::create(NETLINK_ROUTE));
    WireGuard wireguard = TRY(WireGuard::create());
    return OverlayLinks(std::move(route), std::move(wireguard));
}

// --- observe ------------------------------------------------------------------------------------

using States = std::vector<InterfaceState>;

static InterfaceState* find(States& states, unsigned ifindex) {
    const auto found = std::ranges::find(
        states, ifindex, [](const InterfaceState& state) { return state.wireguard.ifindex; });
    return found == states.end() ? nullptr : &*found;
}

static Status gather_link(States& states, const nlmsghdr& message) {
    const auto* link = family_header<ifinfomsg>(message);
    if (!link || message.nlmsg_type != RTM_NEWLINK) return {};
    const auto attributes = NetlinkAttributes::of<ifinfomsg>(message);
    const auto name = attributes.find(IFLA_IFNAME);
    const auto info = attributes.find(IFLA_LINKINFO);
    if (!name || !info || !is_overlay_interface(name->text())) return {};
    const auto kind = NetlinkAttributes(*info).find(IFLA_INFO_KIND);
    if (!kind || kind->text() != WG_GENL_NAME) return {};
    InterfaceState state;
    state.wireguard.ifindex = static_cast<unsigned>(link->ifi_index);
    state.wireguard.name = name->text();
    state.up = (link->ifi_flags & IFF_UP) != 0;
    if (const auto mtu = attributes.find(IFLA_MTU)) state.mtu = mtu->u32().value_or(0);
    states.push_back(std::move(state));
    return {};
}

static std::optional<IpAddress> address_in(const std::optional<NetlinkAttribute>& attribute) {
    return attribute ? IpAddress::from_bytes(attribute->payload()) : std::nullopt;
}

struct AddressState {
    unsigned ifindex = 0;
    IpNetwork address;
};

static Status gather_address(std::vector<AddressState>& addresses, const nlmsghdr& message) {
    const auto* header = family_header<ifaddrmsg>(message);
    if (!header || message.nlmsg_type != RTM_NEWADDR) return {};
    const auto address = address_in(NetlinkAttributes::of<ifaddrmsg>(message).find(IFA_ADDRESS));
    if (address) addresses.push_back({header->ifa_index, {*address, header->ifa_prefixlen}});
    return {};
}

struct RouteEntry {
    unsigned ifindex = 0;
    RouteState route;
};

static Status gather_route(std::vector<RouteEntry>& routes, const nlmsghdr& message) {
    const auto* header = family_header<rtmsg>(message);
    if (!header || message.nlmsg_type != RTM_NEWROUTE || header->rtm_table != RT_TABLE_MAIN ||
        header->rtm_type != RTN_UNICAST || (header->rtm_flags & RTM_F_CLONED))
        return {};
    const auto attributes = NetlinkAttributes::of<rtmsg>(message);
    const auto destination = address_in(attributes.find(RTA_DST));
    const auto interface = attributes.find(RTA_OIF);
    if (!destination || !interface) return {};  // a default route, or one of several hops
    const auto metric = attributes.find(RTA_PRIORITY);
    routes.push_back({interface->u32().value_or(0),
                      {.destination = {*destination, header->rtm_dst_len},
                       .metric = metric ? metric->u32().value_or(0) : 0,
                       .source = address_in(attributes.find(RTA_PREFSRC))}});
    return {};
}

Result<States> OverlayLinks::observe() {
    NetlinkMessage links(RTM_GETLINK, 0, ifinfomsg{});
    links.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    States states = TRY(m_route.dump<States>(links, "cannot list interfaces", gather_link));
    if (states.empty()) return states;

    NetlinkMessage wanted_addresses(RTM_GETADDR, 0, ifaddrmsg{.ifa_family = AF_INET6});
    const auto addresses = TRY(m_route.dump<std::vector<AddressState>>(
        wanted_addresses, "cannot list addresses", gather_address));
    for (const AddressState& address : addresses)
        if (auto* state = find(states, address.ifindex))
            state->addresses.push_back(address.address);

    NetlinkMessage wanted_routes(RTM_GETROUTE, 0,
                                 rtmsg{.rtm_family = AF_INET6, .rtm_table = RT_TABLE_MAIN});
    const auto routes = TRY(
        m_route.dump<std::vector<RouteEntry>>(wanted_routes, "cannot list routes", gather_route));
    for (const RouteEntry& entry : routes)
        if (auto* state = find(states, entry.ifindex)) state->routes.push_back(entry.route);

    for (InterfaceState& state : states)
        state.wireguard = TRY(m_wireguard.status(state.wireguard.name));
    return states;
}

// --- apply --------------------------------------------------------------------------------------

// How many of the changes at the front change peers of the same interface: they go as one.
static std::size_t count_of_peers(std::span<const OverlayChange> changes) {
    std::size_t count = 0;
    while (count < changes.size() && changes[count].kind == OverlayChange::Kind::ChangePeer &&
           changes[count].interface == changes.front().interface)
        ++count;
    return count;
}

static Result<std::vector<InterfaceHandOff>> hand_off(const OverlayPlan& plan,
                                                      const States& states) {
    std::vector<InterfaceHandOff> interfaces;
    for (const InterfacePlan& interface : plan.interfaces) {
        const auto state = std::ranges::find(
            states, interface.name, [](const InterfaceState& it) { return it.wireguard.name; });
        if (state == states.end())
            return fail(ErrorCode::NotFound, "interface '" + interface.name + "' vanished");
        interfaces.push_back({interface, state->wireguard.ifindex});
        interfaces.back().plan.listen_port = state->wireguard.listen_port;
    }
    return interfaces;
}

Result<OverlayLinks::Applied> OverlayLinks::apply(OverlayPlan plan, const PrivateKey& key) {
    return apply(std::move(plan), key, TRY(observe()));
}

Result<OverlayLinks::Applied> OverlayLinks::apply(OverlayPlan plan, const PrivateKey& key,
                                                  const States& observed) {
    const PublicKey node = TRY(crypto::public_key_of(key));
    keep_lighthouse_interfaces(plan, observed);
    std::vector<OverlayChange> changes = difference(plan, node, observed);
    std::span<const OverlayChange> rest = changes;
    while (!rest.empty()) {
        const std::size_t peers = count_of_peers(rest);
        if (peers > 0) {
            std::vector<WireGuardChange> batch;
            for (const OverlayChange& change : rest.first(peers)) batch.push_back(change.peer);
            TRY(m_wireguard.apply(rest.front().interface, batch));
        } else {
            TRY(perform(rest.front(), plan.address, key));
        }
        rest = rest.subspan(std::max<std::size_t>(peers, 1));
    }
    auto interfaces =
        TRY(changes.empty() ? hand_off(plan, observed) : hand_off(plan, TRY(observe())));
    return Applied{std::move(interfaces), std::move(changes)};
}

Status OverlayLinks::perform(const OverlayChange& change, const IpAddress& source,
                             const PrivateKey& key) {
    using Kind = OverlayChange::Kind;
    switch (change.kind) {
        case Kind::CreateInterface:
            return m_wireguard.ensure_interface(change.interface, change.number);
        case Kind::RemoveInterface: return m_wireguard.remove_interface(change.interface);
        case Kind::SetPrivateKey: return m_wireguard.set_private_key(change.interface, key);
        case Kind::SetListenPort:
            return m_wireguard.set_listen_port(change.interface,
                                               static_cast<std::uint16_t>(change.number));
        case Kind::ChangePeer: return m_wireguard.apply(change.interface, {&change.peer, 1});
        case Kind::SetMtu: return set_mtu(change);
        case Kind::BringUp: return bring_up(change);
        case Kind::AddAddress:
        case Kind::RemoveAddress: return change_address(change);
        case Kind::AddRoute:
        case Kind::RemoveRoute: return change_route(change, source);
    }
    return {};
}

static std::string cannot(const OverlayChange& change) {
    return "cannot apply '" + change.text() + "'";
}

// By netlink, not if_nametoindex(3): that would open sockets of a kind that we need for nothing else.
Result<unsigned> OverlayLinks::ifindex_of(const std::string& interface) {
    NetlinkMessage request(RTM_GETLINK, 0, ifinfomsg{});
    request.text(IFLA_IFNAME, interface).u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    unsigned ifindex = 0;
    TRY(m_route.talk(request, "cannot find interface '" + interface + "'",
                     [&](const nlmsghdr& message) -> Status {
                         if (const auto* header = family_header<ifinfomsg>(message))
                             ifindex = static_cast<unsigned>(header->ifi_index);
                         return {};
                     }));
    return ifindex;
}

Status OverlayLinks::set_mtu(const OverlayChange& change) {
    NetlinkMessage request(
        RTM_SETLINK, 0,
        ifinfomsg{.ifi_index = static_cast<int>(TRY(ifindex_of(change.interface)))});
    request.u32(IFLA_MTU, change.number);
    return m_route.talk(request, cannot(change));
}

Status OverlayLinks::bring_up(const OverlayChange& change) {
    NetlinkMessage request(
        RTM_SETLINK, 0,
        ifinfomsg{.ifi_index = static_cast<int>(TRY(ifindex_of(change.interface))),
                  .ifi_flags = IFF_UP,
                  .ifi_change = IFF_UP});
    return m_route.talk(request, cannot(change));
}

// No duplicate detection, which would keep the address tentative for a second on a link that has
// no neighbours, and no route of the kernel's own: the routes are the plan's.
Status OverlayLinks::change_address(const OverlayChange& change) {
    const bool add = change.kind == OverlayChange::Kind::AddAddress;
    const unsigned ifindex = TRY(ifindex_of(change.interface));
    NetlinkMessage request(add ? RTM_NEWADDR : RTM_DELADDR, add ? NLM_F_CREATE | NLM_F_REPLACE : 0,
                           ifaddrmsg{.ifa_family = AF_INET6,
                                     .ifa_prefixlen = change.network.length,
                                     .ifa_scope = RT_SCOPE_UNIVERSE,
                                     .ifa_index = ifindex});
    request.bytes(IFA_LOCAL, change.network.address.bytes())
        .bytes(IFA_ADDRESS, change.network.address.bytes());
    if (add) request.u32(IFA_FLAGS, IFA_F_NODAD | IFA_F_NOPREFIXROUTE);
    return m_route.talk(request, cannot(change));
}

Status OverlayLinks::change_route(const OverlayChange& change, const IpAddress& source) {
    const bool add = change.kind == OverlayChange::Kind::AddRoute;
    const unsigned ifindex = TRY(ifindex_of(change.interface));
    const auto protocol = static_cast<std::uint8_t>(add ? RTPROT_STATIC : RTPROT_UNSPEC);
    // Neither NLM_F_EXCL nor NLM_F_REPLACE: both would also mean the same route of another
    // interface, which stays until the better one has taken over.
    NetlinkMessage request(add ? RTM_NEWROUTE : RTM_DELROUTE, add ? NLM_F_CREATE : 0,
                           rtmsg{.rtm_family = AF_INET6,
                                 .rtm_dst_len = change.network.length,
                                 .rtm_table = RT_TABLE_MAIN,
                                 .rtm_protocol = protocol,
                                 .rtm_scope = RT_SCOPE_UNIVERSE,
                                 .rtm_type = RTN_UNICAST});
    request.bytes(RTA_DST, change.network.address.bytes())
        .u32(RTA_OIF, ifindex)
        .u32(RTA_PRIORITY, change.number);
    if (add) request.bytes(RTA_PREFSRC, source.bytes());
    return m_route.talk(request, cannot(change));
}

Result<std::size_t> OverlayLinks::take_down() {
    const States states = TRY(observe());
    for (const InterfaceState& state : states)
        TRY(m_wireguard.remove_interface(state.wireguard.name));
    return states.size();
}

}  // namespace fortros
