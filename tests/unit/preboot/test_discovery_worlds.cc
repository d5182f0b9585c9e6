// A short round of the random worlds that `scripts/sim discovery` runs thousands of.
#include <doctest/doctest.h>

#include "sim/discovery_judge.h"

using namespace fortros;

static constexpr std::uint64_t worlds = 300;

// A node would miss a gateway that it could have reached, or join somebody else's, or ask where it
// must not.
TEST_CASE("in random worlds a boot joins when it can, never a rogue, and ends in its budget") {
    const fakes::FakeSigner signer;
    for (std::uint64_t seed = 1; seed <= worlds; ++seed) {
        const auto outcome = sim::run_discovery_world(seed, signer);
        for (const auto& problem : outcome.problems) FAIL_CHECK("seed " << seed << ": " << problem);
    }
}
