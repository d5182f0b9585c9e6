// The experiments behind the figures that the mesh must reach, each in one world: what is measured and
// how. They judge nothing; scripts/sim mesh runs them over many seeds and holds them against the aims.
// Numbers that are not whole are in thousandths: "p90_milli".
#pragma once

#include <functional>
#include <string>

#include "core/json.h"
#include "meshsim/simulation.h"

namespace fortros::meshsim {

struct FigureSpec {
    WorldSpec world{};
    Duration settle = 20min;
    Duration repair = 15min;
    // Called for each drawing; may be empty.
    std::function<void(const std::string& name, const std::string& svg)> draw{};
};

// Degree, stretch, what is left when 30 % die at once (lighthouses among them) and what is there after
// the repair; beside a random graph and a ring with as many links.
Json measure_quality(const FigureSpec& spec);

// Direct paths die under running traffic, one way or both: how long apps wait for answers, and how long it
// takes until the direct path is used again when it is back.
Json measure_dead_links(const FigureSpec& spec);

// What a node sends and receives in an hour while no app says a word.
Json measure_idle(const FigureSpec& spec);

// The facts of the world: sizes, sites, NATs.
Json facts_of(const World& world);

}  // namespace fortros::meshsim
