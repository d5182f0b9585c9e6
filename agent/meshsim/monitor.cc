#include "meshsim/monitor.h"

#include <algorithm>
#include <cstdio>

#include "meshsim/simulation.h"

namespace fortros::meshsim {

void Monitor::problem(Instant now, const std::string& why) {
    ++m_problem_count;
    if (m_problems.size() >= problems_limit) return;
    char time[32];
    std::snprintf(time, sizeof time, "%.3f s: ", milliseconds_of(now - Instant{}) / 1000);
    m_problems.push_back(time + why);
}

// What the node itself says of the peer, and how far it truly is.
static std::string reason_of(const Simulation& simulation, NodeId node, NodeId peer) {
    const mesh::Mesh& mesh = simulation.mesh(node);
    char rtt[48];
    std::snprintf(rtt, sizeof rtt, " (truly %.1f ms)", simulation.world().rtt_ms(node, peer));
    const PublicKey& key = simulation.world().nodes[peer].key;
    for (const auto& report : mesh.report(SIZE_MAX, simulation.now()))
        if (report.key == key) return report.reason + rtt;
    return std::string("not known any more") + rtt;
}

void Monitor::count(const Simulation& simulation, const char* what, NodeId node, NodeId peer) {
    if (m_world.relays(node) || m_world.relays(peer)) return;
    ++m_changes;
    m_last_change = simulation.now();
    if (!m_rest || m_world.nodes[node].lie != Lie::None || m_world.nodes[peer].lie != Lie::None)
        return;
    ++m_changes_at_rest;
    if (m_problems.size() < problems_limit)
        problem(simulation.now(),
                "node " + std::to_string(node) + what + std::to_string(peer) +
                    " in a world that had settled: " + reason_of(simulation, node, peer));
}

// A peer that asked to go was not dropped; its question may take this long to be answered.
static constexpr Duration asking_limit = 5min;

static std::uint64_t pair_of(NodeId from, NodeId to) { return std::uint64_t{from} << 32 | to; }

void Monitor::asked_to_leave(NodeId node, NodeId peer, Instant now) {
    m_asked[pair_of(node, peer)] = now;
}

// Nobody may be left with too few links by what the other decides alone.
void Monitor::judge_removal(const Simulation& simulation, NodeId node, NodeId peer) {
    const Instant now = simulation.now();
    const auto& wireguard = simulation.wireguard();
    const auto honest = [&](NodeId some) {
        return m_world.nodes[some].lie == Lie::None && simulation.is_member(some);
    };
    if (!honest(node) || !honest(peer) || !simulation.linked(node, peer)) return;
    if (!wireguard.would_carry(node, peer, now) || !wireguard.would_carry(peer, node, now)) return;
    const auto asked = m_asked.find(pair_of(peer, node));
    if (asked != m_asked.end() && now - asked->second < asking_limit) return;
    std::size_t left = 0;
    for (const Tunnel& tunnel : wireguard.tunnels(peer))
        if (tunnel.peer != node && !m_world.relays(tunnel.peer) &&
            simulation.linked(peer, tunnel.peer) && wireguard.would_carry(peer, tunnel.peer, now))
            ++left;
    if (left < mesh::lifeline_links)
        problem(now, "node " + std::to_string(node) + " drops " + std::to_string(peer) +
                         ", which did not ask for it and is left with " + std::to_string(left));
}

void Monitor::judge_change(const Simulation& simulation, NodeId node,
                           const std::vector<NodeId>& before, const std::vector<NodeId>& after) {
    const Instant now = simulation.now();
    for (const NodeId peer : before)
        if (!std::ranges::binary_search(after, peer)) {
            judge_removal(simulation, node, peer);
            count(simulation, " takes down its link to ", node, peer);
        }
    for (const NodeId peer : after)
        if (!std::ranges::binary_search(before, peer))
            count(simulation, " takes up its link to ", node, peer);
    const auto scored =
        std::ranges::count_if(after, [&](NodeId peer) { return !m_world.same_site(node, peer); });
    // Told once a node: it is one mistake, however often it is looked at.
    if (static_cast<std::size_t>(scored) > mesh::scored_limit && m_over_budget.insert(node).second)
        problem(now, "node " + std::to_string(node) + " has " + std::to_string(scored) +
                         " peers beside its LAN and its lighthouses");
}

}  // namespace fortros::meshsim
