// Randomness as an argument: the kernel's in the rim, a seeded generator in tests and simulations.
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"

namespace fortros {

class Random {
public:
    Random() = default;
    Random(const Random&) = delete;
    Random& operator=(const Random&) = delete;
    virtual ~Random() = default;

    virtual void fill(std::span<std::uint8_t> bytes) = 0;

    // A number in [0, bound), without bias. `bound` is not 0.
    std::uint64_t below(std::uint64_t bound);
    // A number in [0, 1).
    double unit();
};

// xoshiro256** from a seed: the same seed gives the same numbers, for ever. Never for keys outside
// of tests.
class SeededRandom final : public Random {
public:
    explicit SeededRandom(std::uint64_t seed);
    void fill(std::span<std::uint8_t> bytes) override;

private:
    std::uint64_t next();

    std::uint64_t m_state[4];
};

}  // namespace fortros
