// A boot in a random world, held against what must become of it: what was wrong, in words.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sim/discovery_oracle.h"

namespace fortros::sim {

struct Outcome {
    ExitStatus status = ExitStatus::Internal;
    Duration took{};
    std::optional<Duration> search{};  // from the first link to the request that was answered
    enum class Remembered { No, Up, HandedOff };
    Remembered remembered = Remembered::No;  // what became of the overlay from the remembered set
    Expectation expected{};
    std::vector<std::string> problems{};  // none: all is as it must be
};

// A boot in the world of this seed. `witness` is told what happens, if it is given.
Outcome run_discovery_world(std::uint64_t seed, const fakes::FakeSigner& signer,
                            std::function<void(const std::string&)> witness = {});

}  // namespace fortros::sim
