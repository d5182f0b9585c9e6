// Pictures of a simulated mesh, for people: the map with its links, and the measures over time.
#pragma once

#include <string>
#include <vector>

#include "meshsim/recorder.h"
#include "meshsim/simulation.h"

namespace fortros::meshsim {

// Regions where they are; the sites of each around its city, spread out so that one can see them.
std::string draw_map(const Simulation& simulation, const std::string& title);

// `events`: what happened, each "  480 s  what".
std::string draw_measures(const std::vector<Measure>& measures,
                          const std::vector<std::string>& events, const std::string& title);

}  // namespace fortros::meshsim
