// The measures of a world over time: links by tier, changes, how many nodes live, whose packets are not
// answered. Samples in equal steps; it changes nothing.
#pragma once

#include <string>
#include <vector>

#include "meshsim/simulation.h"

namespace fortros::meshsim {

struct Measure {
    Instant at{};
    double lan_links = 0;  // a live node, in the mean
    double scored_links = 0;
    double lighthouses = 0;     // tunnels that carry
    std::uint64_t changes = 0;  // of links since the sample before
    double unanswered = 0;      // share of some pairs of live nodes
    std::size_t live = 0;
};

class Recorder {
public:
    // Samples `simulation`, which must outlive it, at each step until `end`.
    Recorder(Simulation& simulation, Duration step, Instant end);
    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;

    const std::vector<Measure>& measures() const { return m_measures; }

private:
    void sample();

    Simulation& m_simulation;
    std::uint64_t m_changes = 0;
    std::vector<Measure> m_measures;
};

}  // namespace fortros::meshsim
