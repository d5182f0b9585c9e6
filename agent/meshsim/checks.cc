#include "meshsim/checks.h"

#include <algorithm>

namespace fortros::meshsim {

namespace {

constexpr std::size_t pairs_checked_limit = 100'000;
constexpr Duration flow_patience = 60s;  // an app that had given up tries again in this time

std::string node_text(NodeId node) { return "node " + std::to_string(node); }

bool honest(const Simulation& simulation, NodeId node) {
    return simulation.alive(node) && simulation.is_member(node) &&
           simulation.world().nodes[node].lie == Lie::None;
}

std::vector<NodeId> honest_nodes(const Simulation& simulation) {
    std::vector<NodeId> nodes;
    for (NodeId node = 0; node < simulation.world().nodes.size(); ++node)
        if (honest(simulation, node) && !simulation.world().relays(node)) nodes.push_back(node);
    return nodes;
}

// A packet of one end and its answer would arrive; the other end may have to wait for it, where a NAT before
// the first is kept open for nobody (a metered node's).
bool opens(const Simulation& simulation, NodeId a, NodeId b) {
    const auto& underlay = simulation.underlay();
    const auto& wireguard = simulation.wireguard();
    return underlay.connected(a, b) && underlay.connected(b, a) &&
           (wireguard.would_carry(a, b, simulation.now()) ||
            wireguard.would_carry(b, a, simulation.now()));
}

bool has_working_link(const Simulation& simulation, NodeId node) {
    const auto& wireguard = simulation.wireguard();
    return std::ranges::any_of(wireguard.tunnels(node), [&](const Tunnel& tunnel) {
        return !simulation.world().relays(tunnel.peer) && simulation.linked(node, tunnel.peer) &&
               opens(simulation, node, tunnel.peer);
    });
}

std::size_t scored_peers(const Simulation& simulation, NodeId node) {
    const World& world = simulation.world();
    return static_cast<std::size_t>(
        std::ranges::count_if(simulation.wireguard().tunnels(node), [&](const Tunnel& tunnel) {
            return !world.relays(tunnel.peer) && !world.same_site(node, tunnel.peer);
        }));
}

// Direct peers by both ends' routes; a metered node's link may sleep, and then only a lighthouse helps.
bool are_awake_peers(const Simulation& simulation, NodeId a, NodeId b) {
    const auto& underlay = simulation.underlay();
    const auto& nodes = simulation.world().nodes;
    return !nodes[a].metered && !nodes[b].metered && underlay.connected(a, b) &&
           underlay.connected(b, a) && simulation.routes().next_hop(a, b) == b &&
           simulation.routes().next_hop(b, a) == a;
}

bool lighthouse_lives_beside(const Simulation& simulation, NodeId node) {
    return std::ranges::any_of(simulation.world().lighthouses, [&](NodeId lighthouse) {
        return simulation.alive(lighthouse) && simulation.underlay().connected(node, lighthouse) &&
               simulation.underlay().connected(lighthouse, node);
    });
}

}  // namespace

bool may_meet(const World& world, NodeId a, NodeId b) {
    const mesh::Nat one = world.site_of(a).nat;
    const mesh::Nat other = world.site_of(b).nat;
    return world.same_site(a, b) || one == mesh::Nat::None || other == mesh::Nat::None ||
           (one == mesh::Nat::Cone && other == mesh::Nat::Cone);
}

std::vector<std::string> check_agreement(const Simulation& simulation) {
    std::vector<std::string> problems;
    for (const NodeId node : honest_nodes(simulation))
        for (const Tunnel& tunnel : simulation.wireguard().tunnels(node)) {
            const NodeId peer = tunnel.peer;
            if (simulation.world().relays(peer) || !honest(simulation, peer)) continue;
            if (simulation.wireguard().find(peer, node) == nullptr)
                problems.push_back(node_text(node) + " has " + node_text(peer) +
                                   " as a peer, which has not");
        }
    return problems;
}

std::vector<std::string> check_paths(const Simulation& simulation) {
    std::vector<std::string> problems;
    const auto nodes = honest_nodes(simulation);
    const Routes& routes = simulation.routes();
    // All pairs of a small world; of a large one every so many, from a different place for each node.
    const std::size_t pairs = nodes.size() * nodes.size();
    const std::size_t stride = 1 + pairs / pairs_checked_limit;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        const NodeId node = nodes[i];
        std::size_t unanswered = 0;
        NodeId example = no_node;
        const bool lighthouse = lighthouse_lives_beside(simulation, node);
        for (std::size_t k = i % stride; k < nodes.size(); k += stride) {
            const NodeId other = nodes[k];
            const bool is_promised = lighthouse ? simulation.underlay().connected(node, other)
                                                : are_awake_peers(simulation, node, other);
            if (other == node || !is_promised || routes.answered(node, other, simulation.now()) ||
                routes.reachable_by_tunnels(node, other, simulation.now()))
                continue;
            ++unanswered;
            example = other;
        }
        if (unanswered > 0)
            problems.push_back(node_text(node) + " gets no answer from " +
                               std::to_string(unanswered) + " nodes, one of them " +
                               node_text(example));
    }
    return problems;
}

std::vector<std::string> check_flows(const Simulation& simulation) {
    std::vector<std::string> problems;
    const auto& flows = simulation.world().flows;
    for (std::size_t i = 0; i < flows.size(); ++i) {
        const NodeId from = flows[i].from;
        const NodeId to = flows[i].to;
        if (!honest(simulation, from) || !honest(simulation, to)) continue;
        if (simulation.waiting(i) > flow_patience && lighthouse_lives_beside(simulation, from) &&
            simulation.underlay().connected(from, to))
            problems.push_back(node_text(from) + " talks to " + node_text(to) +
                               " and has had no answer for " +
                               std::to_string(simulation.waiting(i) / 1s) + " s");
    }
    return problems;
}

std::vector<std::string> check_candidates(const Simulation& simulation) {
    const World& world = simulation.world();
    std::vector<std::string> problems;
    const auto nodes = honest_nodes(simulation);
    for (const NodeId node : nodes) {
        if (has_working_link(simulation, node)) continue;
        // Without a lighthouse nobody can be asked.
        if (!lighthouse_lives_beside(simulation, node)) continue;
        const auto willing = std::ranges::find_if(nodes, [&](NodeId other) {
            return other != node && !world.nodes[other].metered && may_meet(world, node, other) &&
                   simulation.underlay().connected(node, other) &&
                   (world.same_site(node, other) ||
                    scored_peers(simulation, other) < mesh::scored_limit);
        });
        if (willing != nodes.end())
            problems.push_back(node_text(node) + " has no link that works, and " +
                               node_text(*willing) + " would take one");
    }
    return problems;
}

std::vector<std::string> check_revoked(const Simulation& simulation) {
    std::vector<std::string> problems;
    for (NodeId node = 0; node < simulation.world().nodes.size(); ++node) {
        if (!honest(simulation, node)) continue;
        for (const Tunnel& tunnel : simulation.wireguard().tunnels(node))
            if (!simulation.is_member(tunnel.peer))
                problems.push_back(node_text(node) + " has " + node_text(tunnel.peer) +
                                   " as a peer, which is no member");
    }
    return problems;
}

std::vector<std::string> check_all(const Simulation& simulation) {
    std::vector<std::string> all;
    for (auto& found :
         {check_agreement(simulation), check_paths(simulation), check_flows(simulation),
          check_candidates(simulation), check_revoked(simulation)})
        all.insert(all.end(), found.begin(), found.end());
    return all;
}

}  // namespace fortros::meshsim
