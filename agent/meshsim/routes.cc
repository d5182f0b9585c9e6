#include "meshsim/routes.h"

#include <algorithm>

namespace fortros::meshsim {

Routes::Routes(const World& world, const WireGuard& wireguard)
    : m_world(world), m_wireguard(wireguard), m_lighthouses(world.nodes.size()) {}

void Routes::configure(NodeId node, const mesh::WantedOverlay& wanted) {
    auto lighthouses = wanted.lighthouses;
    std::ranges::stable_sort(lighthouses, {}, &mesh::WantedLighthouse::rank);
    m_lighthouses[node].clear();
    for (const auto& lighthouse : lighthouses)
        if (const NodeId id = m_world.node_of(lighthouse.key); id != no_node && id != node)
            m_lighthouses[node].push_back(id);
}

NodeId Routes::lighthouse(NodeId node) const {
    return m_lighthouses[node].empty() ? no_node : m_lighthouses[node].front();
}

NodeId Routes::next_hop(NodeId from, NodeId to) const {
    const Tunnel* tunnel = m_wireguard.find(from, to);
    if (tunnel != nullptr && (tunnel->routed || m_world.relays(from) || m_world.relays(to)))
        return to;
    // A lighthouse sends on what it has no peer for to no other: that would circle.
    return m_world.relays(from) ? no_node : lighthouse(from);
}

bool Routes::arrives(NodeId from, NodeId to, Instant now) const {
    const NodeId hop = next_hop(from, to);
    if (hop == no_node || !m_wireguard.would_carry(from, hop, now)) return false;
    return hop == to || m_wireguard.would_carry(hop, to, now);
}

double Routes::way_ms(NodeId from, NodeId to) const {
    const NodeId hop = next_hop(from, to);
    if (hop == to) return m_world.rtt_ms(from, to) / 2;
    return (m_world.rtt_ms(from, hop) + m_world.rtt_ms(hop, to)) / 2;
}

std::optional<double> Routes::round_trip_ms(NodeId a, NodeId b, Instant now) const {
    if (!answered(a, b, now)) return {};
    return way_ms(a, b) + way_ms(b, a);
}

bool Routes::by_some_lighthouse(NodeId from, NodeId to, Instant now) const {
    return std::ranges::any_of(m_lighthouses[from], [&](NodeId lighthouse) {
        return m_wireguard.would_carry(from, lighthouse, now) &&
               (lighthouse == to || m_wireguard.would_carry(lighthouse, to, now));
    });
}

bool Routes::reachable_by_tunnels(NodeId a, NodeId b, Instant now) const {
    const auto one_way = [&](NodeId from, NodeId to) {
        return m_wireguard.would_carry(from, to, now) || by_some_lighthouse(from, to, now);
    };
    return one_way(a, b) && one_way(b, a);
}

}  // namespace fortros::meshsim
