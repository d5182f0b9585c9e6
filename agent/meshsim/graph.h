// Graphs that a mesh is held against: any node forwards for any other, which WireGuard's do not, and no
// NAT stands in the way. Shortest paths and components, nothing else.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "meshsim/world.h"

namespace fortros::meshsim {

class Graph {
public:
    using Pair = std::pair<NodeId, NodeId>;
    Graph(const World& world, std::vector<Pair> edges);

    // Each node with `degree` others, chosen by chance.
    static Graph random(const World& world, unsigned degree, std::uint64_t seed);
    // By key in a circle, each linked to degree / 2 on both sides.
    static Graph ring(const World& world, unsigned degree);

    // Round trips to all nodes along the shortest paths, in milliseconds; infinite: none.
    std::vector<double> distances_from(NodeId source) const;
    // Of the nodes with alive[node], the share that is in the largest component.
    double largest_component(std::span<const std::uint8_t> alive) const;
    double mean_degree() const;

private:
    struct Edge {
        NodeId to;
        float ms;
    };
    std::span<const Edge> edges_of(NodeId node) const {
        return std::span(m_edges).subspan(m_first[node], m_first[node + 1] - m_first[node]);
    }

    std::vector<std::size_t> m_first;  // of each node's edges
    std::vector<Edge> m_edges;
};

}  // namespace fortros::meshsim
