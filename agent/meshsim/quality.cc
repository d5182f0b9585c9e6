#include "meshsim/quality.h"

#include <algorithm>

namespace fortros::meshsim {

double Distribution::percentile(double of) const {
    if (m_values.empty()) return 0;
    if (!m_sorted) std::ranges::sort(m_values);
    m_sorted = true;
    double all = 0;
    for (const auto& [value, weight] : m_values) all += weight;
    double below = 0;
    for (const auto& [value, weight] : m_values) {
        below += weight;
        if (below >= all * of / 100) return value;
    }
    return m_values.back().first;
}

double Distribution::mean() const {
    double sum = 0;
    double all = 0;
    for (const auto& [value, weight] : m_values) {
        sum += value * weight;
        all += weight;
    }
    return all > 0 ? sum / all : 0;
}

static std::vector<NodeId> live_nodes(const Simulation& simulation) {
    std::vector<NodeId> nodes;
    for (NodeId node = 0; node < simulation.world().nodes.size(); ++node)
        if (simulation.alive(node) && !simulation.world().relays(node) &&
            simulation.world().nodes[node].lie == Lie::None)
            nodes.push_back(node);
    return nodes;
}

Stretch measure_stretch(const Simulation& simulation, const Graph& random_graph, const Graph& ring,
                        unsigned sources, unsigned targets) {
    const World& world = simulation.world();
    const auto nodes = live_nodes(simulation);
    SeededRandom random(world.spec.seed ^ 0x57e7);
    Stretch stretch;
    std::size_t answered = 0;
    std::size_t asked = 0;
    for (unsigned i = 0; i < sources && nodes.size() > 1; ++i) {
        const NodeId from = nodes[random.below(nodes.size())];
        const auto by_random = random_graph.distances_from(from);
        const auto by_ring = ring.distances_from(from);
        for (unsigned k = 0; k < targets; ++k) {
            const NodeId to = nodes[random.below(nodes.size())];
            if (to == from) continue;
            ++asked;
            const double direct = world.rtt_ms(from, to);
            stretch.random_graph.add(by_random[to] / direct);
            stretch.ring.add(by_ring[to] / direct);
            const auto ms = simulation.routes().round_trip_ms(from, to, simulation.now());
            if (!ms) continue;
            ++answered;
            stretch.mesh.add(*ms / direct);
        }
    }
    for (const Flow& flow : world.flows) {
        if (!simulation.alive(flow.from) || !simulation.alive(flow.to)) continue;
        const auto ms = simulation.routes().round_trip_ms(flow.from, flow.to, simulation.now());
        if (ms)
            stretch.mesh_by_traffic.add(*ms / world.rtt_ms(flow.from, flow.to), flow.bytes_per_s);
    }
    stretch.answered = asked > 0 ? static_cast<double>(answered) / static_cast<double>(asked) : 1;
    return stretch;
}

Degrees measure_degrees(const Simulation& simulation) {
    const World& world = simulation.world();
    Degrees degrees;
    for (const NodeId node : live_nodes(simulation)) {
        double scored = 0;
        double lan = 0;
        double lighthouses = 0;
        for (const Tunnel& tunnel : simulation.wireguard().tunnels(node))
            ++(world.relays(tunnel.peer)            ? lighthouses
               : world.same_site(node, tunnel.peer) ? lan
                                                    : scored);
        degrees.scored.add(scored);
        degrees.lan.add(lan);
        degrees.lighthouses.add(lighthouses);
    }
    return degrees;
}

Graph graph_of(const Simulation& simulation, Relays relays) {
    const World& world = simulation.world();
    const auto& wireguard = simulation.wireguard();
    std::vector<Graph::Pair> edges;
    for (NodeId node = 0; node < world.nodes.size(); ++node) {
        if (!simulation.alive(node) || world.relays(node)) continue;
        for (const Tunnel& tunnel : wireguard.tunnels(node)) {
            const bool relay = world.relays(tunnel.peer);
            if (relay ? relays == Relays::Without : tunnel.peer < node) continue;
            if (wireguard.would_carry(node, tunnel.peer, simulation.now()) &&
                wireguard.would_carry(tunnel.peer, node, simulation.now()))
                edges.emplace_back(node, tunnel.peer);
        }
    }
    return {world, std::move(edges)};
}

std::vector<std::uint8_t> alive_of(const Simulation& simulation) {
    std::vector<std::uint8_t> alive(simulation.world().nodes.size());
    for (const NodeId node : live_nodes(simulation)) alive[node] = 1;
    return alive;
}

Reach measure_reach(const Simulation& simulation, unsigned pairs) {
    const auto nodes = live_nodes(simulation);
    SeededRandom random(simulation.world().spec.seed ^ 0x4eac);
    unsigned asked = 0;
    unsigned by_routes = 0;
    unsigned by_tunnels = 0;
    for (unsigned i = 0; i < pairs && nodes.size() > 1; ++i) {
        const NodeId from = nodes[random.below(nodes.size())];
        const NodeId to = nodes[random.below(nodes.size())];
        if (from == to) continue;
        ++asked;
        if (simulation.routes().answered(from, to, simulation.now())) ++by_routes;
        if (simulation.routes().reachable_by_tunnels(from, to, simulation.now())) ++by_tunnels;
    }
    if (asked == 0) return {1, 1};
    return {static_cast<double>(by_routes) / asked, static_cast<double>(by_tunnels) / asked};
}

}  // namespace fortros::meshsim
