#include "meshsim/faults.h"

#include <doctest/doctest.h>

using namespace fortros;
using namespace fortros::meshsim;

namespace {

constexpr unsigned small = 40;
constexpr Duration short_rest = 15min;
// The mesh's own patience has run out by then: until then links are still exchanged for better ones here and there.
constexpr Duration settled = 60min;

}  // namespace

// A seed that fails in the night would be another world in the morning.
TEST_CASE("the same seed is the same world, to the last change of a link") {
    const FaultSpec spec{.seed = 2, .nodes = small, .rest = short_rest};
    std::uint64_t events[2] = {};
    FaultOutcome outcomes[2];
    for (std::size_t i = 0; i < 2; ++i) {
        const Simulation* seen = nullptr;
        outcomes[i] = run_fault_world(spec, [&](Simulation& simulation) {
            simulation.at(Instant{60min}, [&, i] { events[i] = seen->events(); });
            seen = &simulation;
        });
    }
    CHECK(outcomes[0].faults == outcomes[1].faults);
    CHECK(outcomes[0].changes == outcomes[1].changes);
    CHECK(outcomes[0].converged == outcomes[1].converged);
    CHECK(outcomes[0].problems == outcomes[1].problems);
    CHECK(events[0] == events[1]);
    CHECK(events[0] > 0);
}

// A change of a rule that breaks a promise would be found by whoever runs the thousand worlds next.
TEST_CASE("a few small worlds of faults hold every promise") {
    for (const std::uint64_t seed : {2U, 6U}) {
        CAPTURE(seed);
        const FaultOutcome outcome =
            run_fault_world({.seed = seed, .nodes = small, .settle = settled, .rest = short_rest});
        for (const auto& problem : outcome.problems) FAIL_CHECK(problem);
        CHECK(outcome.changes > 0);
        CHECK(outcome.changes_at_rest == 0);
        CHECK(outcome.converged < convergence_limit);
    }
}
