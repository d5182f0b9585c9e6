// Worlds in which everything goes wrong that a world can make, each from its seed: cuts, splits, mass
// deaths, churn, loss, links that die one way, revocations, newcomers, restarts, stale lists, liars. Then
// they heal, and the promises must hold: in time, and for as long as one looks.
//
//   0          8 min                     40 min       + convergence_limit     + settle_limit     + rest
//   boot       faults, overlapping       all heals    every check must hold   as it likes        no link changes
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "meshsim/simulation.h"

namespace fortros::meshsim {

inline constexpr Duration convergence_limit = 20min;
// From the healing until the mesh's own patience (mesh/mesh_state.h: nobody is asked again for so long, room
// that was made is kept for so long) has run out everywhere: until then links are still exchanged for better ones.
inline constexpr Duration settle_limit = 60min;

struct FaultSpec {
    std::uint64_t seed = 1;
    unsigned nodes = 200;
    Duration rest = 60min;
    bool told = false;  // `tell` is called for all that happens
};

struct FaultOutcome {
    std::vector<std::string> faults{};  // what was done, with its time
    Duration converged{};  // from the healing until every check held and went on holding
    std::uint64_t changes_at_rest = 0;  // between honest nodes
    std::uint64_t changes = 0;
    std::size_t live = 0;
    std::vector<std::string> problems{};
};

// `watch` sees the simulation before it starts; may be empty.
FaultOutcome run_fault_world(const FaultSpec& spec,
                             const std::function<void(Simulation&)>& watch = {});

}  // namespace fortros::meshsim
