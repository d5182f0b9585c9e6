// Worlds in which everything goes wrong that a world can make, each from its seed: cuts, splits, mass
// deaths, churn, loss, links that die one way, revocations, newcomers, restarts, stale lists, liars. Then
// they heal, and the promises must hold: in time, and for as long as one looks.
//
//   0          8 min                     40 min          + convergence_limit        + rest
//   boot       faults, overlapping       all heals       every check must hold      no link changes
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "meshsim/simulation.h"

namespace fortros::meshsim {

inline constexpr Duration convergence_limit = 20min;

struct FaultSpec {
    std::uint64_t seed = 1;
    unsigned nodes = 200;
    Duration settle =
        convergence_limit;  // from the healing until the rest begins; not less than that
    Duration rest = 60min;
    bool told = false;  // `tell` is called for all that happens
};

struct FaultOutcome {
    std::vector<std::string> faults{};  // what was done, with its time
    Duration converged{};  // from the healing until every check held and went on holding
    std::uint64_t changes_at_rest = 0;  // between honest nodes
    std::uint64_t changes = 0;
    std::size_t live = 0;
    std::size_t liars = 0;
    std::vector<std::string> problems{};
};

// `watch` sees the simulation before it starts; may be empty.
FaultOutcome run_fault_world(const FaultSpec& spec,
                             const std::function<void(Simulation&)>& watch = {});

}  // namespace fortros::meshsim
