#include "meshsim/recorder.h"

#include "meshsim/quality.h"

namespace fortros::meshsim {

static constexpr unsigned pairs_sampled = 400;

Recorder::Recorder(Simulation& simulation, Duration step, Instant end) : m_simulation(simulation) {
    for (Instant when = simulation.now() + step; when <= end; when += step)
        simulation.at(when, [this] { sample(); });
}

void Recorder::sample() {
    const Degrees degrees = measure_degrees(m_simulation);
    Measure measure{.at = m_simulation.now(),
                    .lan_links = degrees.lan.mean(),
                    .scored_links = degrees.scored.mean(),
                    .lighthouses = degrees.lighthouses.mean()};
    measure.changes = m_simulation.monitor().changes() - m_changes;
    m_changes = m_simulation.monitor().changes();
    measure.unanswered = 1 - measure_reach(m_simulation, pairs_sampled).by_routes;
    measure.live = degrees.scored.size();
    m_measures.push_back(measure);
}

}  // namespace fortros::meshsim
