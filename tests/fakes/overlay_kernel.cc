#include "fakes/overlay_kernel.h"

#include <algorithm>

namespace fortros {

static constexpr std::uint16_t first_free_port = 40000;

Status OverlayKernel::create(const std::string& name, std::uint32_t mtu) {
    InterfaceState state;
    state.wireguard.name = name;
    state.wireguard.ifindex = m_next_ifindex++;
    state.mtu = mtu;
    interfaces.push_back(std::move(state));
    return {};
}

void OverlayKernel::change_peer(InterfaceState& interface, const WireGuardChange& change) {
    auto& peers = interface.wireguard.peers;
    const auto is_it = [&](const WireGuardPeerStatus& it) {
        return it.peer.key == change.peer.key;
    };
    if (change.kind == WireGuardChange::Kind::Remove) {
        std::erase_if(peers, is_it);
        return;
    }
    auto found = std::ranges::find_if(peers, is_it);
    if (found == peers.end()) {
        if (change.kind == WireGuardChange::Kind::Update) return;
        found = peers.insert(peers.end(), {.peer = {.key = change.peer.key}});
    }
    if (change.replace_allowed_ips) found->peer.allowed_ips.clear();
    for (const IpNetwork& network : change.peer.allowed_ips) {
        for (WireGuardPeerStatus& other : peers) std::erase(other.peer.allowed_ips, network);
        found->peer.allowed_ips.push_back(network);
    }
    if (change.set_endpoint) found->peer.endpoint = change.peer.endpoint;
    if (change.set_keepalive) found->peer.keepalive_seconds = change.peer.keepalive_seconds;
}

Status OverlayKernel::change_route(InterfaceState& interface, const OverlayChange& change) {
    const auto same = [&](const RouteState& route) {
        return route.destination == change.network && route.metric == change.number;
    };
    if (change.kind == OverlayChange::Kind::RemoveRoute) {
        if (std::erase_if(interface.routes, same) == 0)
            return fail(ErrorCode::NotFound, change.text(), "no such route");
        return {};
    }
    if (!interface.up) return fail(ErrorCode::Unreachable, change.text(), "the interface is down");
    const bool has_source = std::ranges::any_of(interfaces, [&](const InterfaceState& state) {
        return std::ranges::contains(state.addresses, IpNetwork::host(m_source));
    });
    if (!has_source) return fail(ErrorCode::Io, change.text(), "invalid source address");
    if (std::ranges::any_of(interface.routes, same))
        return fail(ErrorCode::Conflict, change.text(), "the route is there already");
    interface.routes.push_back({change.network, change.number, m_source});
    return {};
}

Status OverlayKernel::apply(const OverlayChange& change) {
    using Kind = OverlayChange::Kind;
    const auto found = std::ranges::find(
        interfaces, change.interface, [](const InterfaceState& it) { return it.wireguard.name; });
    if (change.kind == Kind::CreateInterface) {
        if (found != interfaces.end())
            return fail(ErrorCode::Conflict, change.text(), "the interface is there already");
        return create(change.interface, change.number);
    }
    if (found == interfaces.end())
        return fail(ErrorCode::NotFound, change.text(), "no such interface");
    switch (change.kind) {
        case Kind::CreateInterface: break;
        case Kind::SetPrivateKey: found->wireguard.public_key = m_node; break;
        case Kind::SetListenPort:
            found->wireguard.listen_port = static_cast<std::uint16_t>(change.number);
            break;
        case Kind::ChangePeer: change_peer(*found, change.peer); break;
        case Kind::SetMtu: found->mtu = change.number; break;
        case Kind::BringUp:
            found->up = true;
            if (found->wireguard.listen_port == 0)
                found->wireguard.listen_port =
                    static_cast<std::uint16_t>(first_free_port + found->wireguard.ifindex);
            break;
        case Kind::AddAddress: found->addresses.push_back(change.network); break;
        case Kind::RemoveAddress: std::erase(found->addresses, change.network); break;
        case Kind::AddRoute:
        case Kind::RemoveRoute: return change_route(*found, change);
        case Kind::RemoveInterface: interfaces.erase(found); break;
    }
    return {};
}

}  // namespace fortros
