#include "maintainer/reconcile.h"

#include <algorithm>
#include <set>

#include "core/crypto.h"

namespace fortros {

// --- what is wanted -----------------------------------------------------------------------------

static void add_direct(InterfacePlan& direct, const mesh::WantedPeer& peer) {
    const IpNetwork host = IpNetwork::host(peer.address);
    direct.peers.push_back({.key = peer.key,
                            .endpoint = peer.endpoint,
                            .allowed_ips = {host},
                            .keepalive_seconds = peer.keepalive_s});
    if (peer.routed) direct.routes.push_back({host, host_route_metric});
}

static InterfacePlan lighthouse_plan(const mesh::WantedLighthouse& lighthouse, std::size_t number,
                                     const OverlaySelf& self) {
    const IpNetwork prefix = self.prefix.network();
    const auto metric = lighthouse_metric_base + static_cast<std::uint32_t>(number);
    const bool is_between = self.lighthouses.contains(lighthouse.key);
    return {.name = std::string(lighthouse_interface_prefix) + std::to_string(number),
            .listen_port = is_between ? port_between(self.key, lighthouse.key) : std::uint16_t{0},
            .mtu = self.mtu,
            .routes = {{IpNetwork::host(lighthouse.address), host_route_metric}, {prefix, metric}},
            .peers = {{.key = lighthouse.key,
                       .endpoint = lighthouse.endpoint,
                       .allowed_ips = {prefix},
                       .keepalive_seconds = lighthouse.keepalive_s}}};
}

OverlayPlan plan_of(const mesh::WantedOverlay& wanted, const OverlaySelf& self) {
    InterfacePlan direct{.name = std::string(direct_interface),
                         .listen_port = self.listen_port,
                         .mtu = self.mtu,
                         .addresses = {IpNetwork::host(self.address)}};
    std::set<PublicKey> placed;
    for (const auto& lighthouse : wanted.lighthouses) placed.insert(lighthouse.key);
    for (const auto& peer : wanted.peers)
        if (placed.insert(peer.key).second) add_direct(direct, peer);
    direct.routes.push_back({self.prefix.network(), direct_prefix_metric});

    OverlayPlan plan{.address = self.address, .prefix = self.prefix};
    plan.interfaces.push_back(std::move(direct));
    const std::size_t count = std::min(wanted.lighthouses.size(), lighthouse_limit);
    for (std::size_t i = 0; i < count; ++i)
        plan.interfaces.push_back(lighthouse_plan(wanted.lighthouses[i], i, self));
    return plan;
}

static constexpr std::string_view port_label = "fortros/lighthouse-port/v1";
static constexpr std::uint32_t first_port = 49152;  // of the dynamic ones (RFC 6335)

std::uint16_t port_between(const PublicKey& a, const PublicKey& b) {
    const auto& [lesser, greater] = std::minmax(a, b);
    const auto digest = crypto::sha256({as_bytes(port_label), lesser.bytes, greater.bytes});
    const std::uint32_t number = ByteReader(digest).u32();
    return static_cast<std::uint16_t>(first_port + number % (UINT16_MAX + 1 - first_port));
}

mesh::WantedOverlay among_lighthouses(mesh::WantedOverlay wanted, const OverlaySelf& self) {
    for (auto& lighthouse : wanted.lighthouses)
        if (lighthouse.endpoint && self.lighthouses.contains(lighthouse.key))
            lighthouse.endpoint->port = port_between(self.key, lighthouse.key);
    return wanted;
}

static const WireGuardPeerStatus* find(const std::vector<InterfaceState>& have,
                                       const PublicKey& key, std::string& interface) {
    for (const InterfaceState& state : have)
        for (const WireGuardPeerStatus& peer : state.wireguard.peers)
            if (peer.peer.key == key) {
                interface = state.wireguard.name;
                return &peer;
            }
    return nullptr;
}

std::vector<EndpointChange> endpoint_changes(const mesh::WantedOverlay& wanted,
                                             const std::vector<InterfaceState>& have,
                                             std::map<PublicKey, Endpoint>& told) {
    std::map<PublicKey, Endpoint> tell;
    for (const auto& peer : wanted.peers)
        if (peer.endpoint) tell[peer.key] = *peer.endpoint;
    for (const auto& lighthouse : wanted.lighthouses)
        if (lighthouse.endpoint) tell[lighthouse.key] = *lighthouse.endpoint;
    std::vector<EndpointChange> changes;
    for (const auto& [key, endpoint] : tell) {
        const auto before = told.find(key);
        if (before != told.end() && before->second == endpoint) continue;
        EndpointChange change;
        const WireGuardPeerStatus* peer = find(have, key, change.interface);
        if (!peer || peer->peer.endpoint == endpoint) continue;
        change.change = {.kind = WireGuardChange::Kind::Update,
                         .peer = {.key = key, .endpoint = endpoint},
                         .set_endpoint = true};
        changes.push_back(std::move(change));
    }
    told = std::move(tell);
    return changes;
}

// --- what there is ------------------------------------------------------------------------------

static mesh::PeerObservation observation_of(const WireGuardPeerStatus& peer, WallTime now) {
    mesh::PeerObservation seen{.key = peer.peer.key,
                               .rx_bytes = peer.rx_bytes,
                               .tx_bytes = peer.tx_bytes,
                               .endpoint = peer.peer.endpoint};
    // A clock that was set back makes no handshake younger than now.
    if (peer.last_handshake)
        seen.handshake_age = std::max(Duration{}, Duration{now - *peer.last_handshake});
    return seen;
}

mesh::Observation observation_of(const std::vector<InterfaceState>& have, WallTime now) {
    mesh::Observation observation{.wall = now};
    for (const InterfaceState& state : have) {
        const bool is_direct = state.wireguard.name == direct_interface;
        if (is_direct) observation.direct_port = state.wireguard.listen_port;
        if (!is_direct && !is_lighthouse_interface(state.wireguard.name)) continue;
        auto& seen = is_direct ? observation.direct : observation.lighthouses;
        for (const WireGuardPeerStatus& peer : state.wireguard.peers)
            seen.push_back(observation_of(peer, now));
    }
    return observation;
}

std::vector<mesh::WantedPeer> peers_in_force(const std::vector<InterfaceState>& have,
                                             const OrgPrefix& prefix) {
    std::vector<mesh::WantedPeer> peers;
    for (const InterfaceState& state : have) {
        if (state.wireguard.name != direct_interface) continue;
        for (const WireGuardPeerStatus& status : state.wireguard.peers) {
            const IpAddress address = overlay_address(prefix, status.peer.key);
            peers.push_back({.key = status.peer.key,
                             .address = address,
                             .endpoint = status.peer.endpoint,
                             .keepalive_s = status.peer.keepalive_seconds,
                             .routed = std::ranges::contains(state.routes, IpNetwork::host(address),
                                                             &RouteState::destination)});
        }
    }
    std::ranges::sort(peers, {}, &mesh::WantedPeer::key);
    return peers;
}

std::vector<PublicKey> lighthouses_in_force(const std::vector<InterfaceState>& have,
                                            const OrgPrefix& prefix) {
    std::vector<std::pair<std::uint32_t, PublicKey>> found;
    for (const InterfaceState& state : have) {
        if (!is_lighthouse_interface(state.wireguard.name) || state.wireguard.peers.size() != 1)
            continue;
        const auto route =
            std::ranges::find(state.routes, prefix.network(), &RouteState::destination);
        if (route != state.routes.end())
            found.emplace_back(route->metric, state.wireguard.peers.front().peer.key);
    }
    std::ranges::sort(found);
    std::vector<PublicKey> keys;
    for (const auto& [metric, key] : found) keys.push_back(key);
    return keys;
}

MessengerWays ways_of(const std::vector<InterfaceState>& have, const mesh::WantedOverlay& wanted) {
    MessengerWays ways;
    for (const InterfaceState& state : have) {
        const WireGuardStatus& wireguard = state.wireguard;
        if (wireguard.name == direct_interface) ways.direct = wireguard.ifindex;
        if (is_lighthouse_interface(wireguard.name) && wireguard.peers.size() == 1)
            ways.lighthouses[wireguard.ifindex] = wireguard.peers.front().peer.key;
    }
    for (const auto& lighthouse : wanted.lighthouses)
        if (lighthouse.alive) ways.preferred.push_back(lighthouse.key);
    return ways;
}

// --- the underlay -------------------------------------------------------------------------------

static constexpr std::size_t underlay_limit = 16;

std::vector<IpAddress> underlay_of(const std::vector<LinkState>& links, const OrgPrefix& prefix) {
    std::vector<IpAddress> routed, local;
    for (const LinkState& link : links) {
        if (!link.up || !link.carrier || is_overlay_interface(link.name)) continue;
        for (const LinkAddress& address : link.addresses) {
            const IpAddress& own = address.network.address;
            if (!address.global || !address.settled || prefix.contains(own) ||
                own.is_link_local() || own.is_loopback())
                continue;
            // Where there is a router, others may be behind it.
            (link.gateways.empty() ? local : routed).push_back(own);
        }
    }
    routed.insert(routed.end(), local.begin(), local.end());
    if (routed.size() > underlay_limit) routed.resize(underlay_limit);
    return routed;
}

}  // namespace fortros
