// A boot that may have been in the overlay before any gateway had answered, held against what it may do
// and must do there.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/fast_start_oracle.h"

namespace fortros::sim {

// What the node had before the boot.
struct Before {
    explicit Before(const fakes::BootWorld& world);

    std::optional<NodeState> state;
    std::optional<PublicKey> key;
};

struct Ended {
    ExitStatus status;
    Duration took;
    Instant budget_end;
};

// What was wrong, in words.
std::vector<std::string> judge_fast_start(const RandomWorld& made, const Expectation& expected,
                                          const FastStartExpectation& fast, const Before& before,
                                          const Ended& ended);

}  // namespace fortros::sim
