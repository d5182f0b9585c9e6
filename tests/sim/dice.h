// What random worlds are made by: chances and choices, from a seed.
#pragma once

#include <initializer_list>
#include <iterator>
#include <vector>

#include "base/random.h"
#include "base/time.h"

namespace fortros::sim {

class Dice {
public:
    explicit Dice(std::uint64_t seed) : m_random(seed) {}

    Random& random() { return m_random; }
    bool chance(unsigned percent) { return m_random.below(100) < percent; }
    std::size_t below(std::size_t bound) { return static_cast<std::size_t>(m_random.below(bound)); }
    template <typename T>
    T one_of(std::initializer_list<T> choices) {
        return *std::next(choices.begin(), static_cast<std::ptrdiff_t>(below(choices.size())));
    }
    // Small ones as often as large ones.
    Duration some_time(Duration longest) {
        return Duration{static_cast<std::int64_t>(static_cast<double>(longest.count()) *
                                                  m_random.unit() * m_random.unit())};
    }

private:
    SeededRandom m_random;
};

}  // namespace fortros::sim
