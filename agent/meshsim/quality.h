// How good a mesh is: how much longer packets travel than they would directly, how many links it costs,
// how much of it is whole. Measured by what packets would do, beside graphs with the same number of links.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "meshsim/graph.h"
#include "meshsim/simulation.h"

namespace fortros::meshsim {

// Values with weights, asked for percentiles.
class Distribution {
public:
    void add(double value, double weight = 1) { m_values.emplace_back(value, weight); }
    // The smallest value that this percentage of the weight does not exceed; 0 of nothing.
    double percentile(double of) const;
    double mean() const;
    std::size_t size() const { return m_values.size(); }

private:
    mutable std::vector<std::pair<double, double>> m_values;
    mutable bool m_sorted = false;
};

// Of `sources` live nodes to `targets` others each: round trip by both ends' routes against the direct one.
struct Stretch {
    Distribution mesh;
    Distribution mesh_by_traffic;  // of the flows, weighted by their bytes
    Distribution random_graph;
    Distribution ring;
    double answered = 0;  // share of the pairs
};
Stretch measure_stretch(const Simulation& simulation, const Graph& random_graph, const Graph& ring,
                        unsigned sources, unsigned targets);

struct Degrees {
    Distribution scored;
    Distribution lan;
    Distribution lighthouses;
    double mean() const { return scored.mean() + lan.mean() + lighthouses.mean(); }
};
Degrees measure_degrees(const Simulation& simulation);

// The links that carry packets now, lighthouses' tunnels among them or not.
enum class Relays : std::uint8_t { With, Without };
Graph graph_of(const Simulation& simulation, Relays relays);

std::vector<std::uint8_t> alive_of(const Simulation& simulation);

// Of random pairs of live nodes, the share that gets its answer.
struct Reach {
    double by_routes = 0;  // as each end's routes are at this moment
    double by_tunnels =
        0;  // with the prefix moved to a lighthouse that works, without one new link
};
Reach measure_reach(const Simulation& simulation, unsigned pairs);

}  // namespace fortros::meshsim
