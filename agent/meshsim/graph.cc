#include "meshsim/graph.h"

#include <algorithm>
#include <limits>
#include <queue>

#include "base/random.h"

namespace fortros::meshsim {

Graph::Graph(const World& world, std::vector<Pair> edges) {
    const std::size_t count = edges.size();
    for (std::size_t i = 0; i < count; ++i) edges.emplace_back(edges[i].second, edges[i].first);
    std::ranges::sort(edges);
    const auto repeated = std::ranges::unique(edges);
    edges.erase(repeated.begin(), repeated.end());
    m_first.assign(world.nodes.size() + 1, 0);
    m_edges.reserve(edges.size());
    for (const auto& [from, to] : edges) {
        ++m_first[from + 1];
        m_edges.push_back({to, static_cast<float>(world.rtt_ms(from, to))});
    }
    for (std::size_t i = 1; i < m_first.size(); ++i) m_first[i] += m_first[i - 1];
}

Graph Graph::random(const World& world, unsigned degree, std::uint64_t seed) {
    SeededRandom random(seed);
    std::vector<Pair> edges;
    const std::size_t count = world.nodes.size();
    while (edges.size() < count * degree / 2) {
        const auto a = static_cast<NodeId>(random.below(count));
        const auto b = static_cast<NodeId>(random.below(count));
        if (a != b) edges.emplace_back(a, b);
    }
    return {world, std::move(edges)};
}

Graph Graph::ring(const World& world, unsigned degree) {
    std::vector<NodeId> order(world.nodes.size());
    for (NodeId node = 0; node < order.size(); ++node) order[node] = node;
    std::ranges::sort(order, {}, [&](NodeId node) { return world.nodes[node].key; });
    std::vector<Pair> edges;
    for (std::size_t i = 0; i < order.size(); ++i)
        for (std::size_t k = 1; k <= std::max(1U, degree / 2); ++k)
            edges.emplace_back(order[i], order[(i + k) % order.size()]);
    return {world, std::move(edges)};
}

std::vector<double> Graph::distances_from(NodeId source) const {
    using Reached = std::pair<double, NodeId>;
    std::vector<double> distances(m_first.size() - 1, std::numeric_limits<double>::infinity());
    std::priority_queue<Reached, std::vector<Reached>, std::greater<>> next;
    distances[source] = 0;
    next.emplace(0.0, source);
    while (!next.empty()) {
        const auto [distance, node] = next.top();
        next.pop();
        if (distance > distances[node]) continue;
        for (const Edge& edge : edges_of(node)) {
            const double longer = distance + static_cast<double>(edge.ms);
            if (longer >= distances[edge.to]) continue;
            distances[edge.to] = longer;
            next.emplace(longer, edge.to);
        }
    }
    return distances;
}

double Graph::largest_component(std::span<const std::uint8_t> alive) const {
    std::vector<std::uint8_t> seen(alive.size(), 0);
    std::size_t living = 0;
    std::size_t largest = 0;
    std::vector<NodeId> open;
    for (NodeId start = 0; start < alive.size(); ++start) {
        if (alive[start] == 0) continue;
        ++living;
        if (seen[start] != 0) continue;
        std::size_t size = 0;
        open.push_back(start);
        seen[start] = 1;
        while (!open.empty()) {
            const NodeId node = open.back();
            open.pop_back();
            ++size;
            for (const Edge& edge : edges_of(node)) {
                if (alive[edge.to] == 0 || seen[edge.to] != 0) continue;
                seen[edge.to] = 1;
                open.push_back(edge.to);
            }
        }
        largest = std::max(largest, size);
    }
    return living == 0 ? 1.0 : static_cast<double>(largest) / static_cast<double>(living);
}

double Graph::mean_degree() const {
    return static_cast<double>(m_edges.size()) / static_cast<double>(m_first.size() - 1);
}

}  // namespace fortros::meshsim
