#include "base/random.h"

#include "base/result.h"

namespace fortros {

std::uint64_t Random::below(std::uint64_t bound) {
    ASSERT(bound > 0);
    // Numbers from the last, incomplete round of `bound` would favour the small ones.
    const std::uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
    while (true) {
        ByteArray<8> bytes;
        fill(bytes);
        std::uint64_t number = ByteReader(bytes).u64();
        if (number < limit) return number % bound;
    }
}

double Random::unit() { return static_cast<double>(below(1ULL << 53)) * 0x1p-53; }

static std::uint64_t rotate_left(std::uint64_t x, int k) { return x << k | x >> (64 - k); }

// Seeds are spread by splitmix64, as xoshiro's authors advise.
SeededRandom::SeededRandom(std::uint64_t seed) {
    for (auto& word : m_state) {
        seed += 0x9e3779b97f4a7c15;
        std::uint64_t z = seed;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        word = z ^ z >> 31;
    }
}

std::uint64_t SeededRandom::next() {
    const std::uint64_t result = rotate_left(m_state[1] * 5, 7) * 9;
    const std::uint64_t t = m_state[1] << 17;
    m_state[2] ^= m_state[0];
    m_state[3] ^= m_state[1];
    m_state[1] ^= m_state[2];
    m_state[0] ^= m_state[3];
    m_state[2] ^= t;
    m_state[3] = rotate_left(m_state[3], 45);
    return result;
}

void SeededRandom::fill(std::span<std::uint8_t> bytes) {
    for (std::size_t i = 0; i < bytes.size(); i += 8) {
        std::uint64_t word = next();
        for (std::size_t k = i; k < bytes.size() && k < i + 8; ++k) {
            bytes[k] = static_cast<std::uint8_t>(word);
            word >>= 8;
        }
    }
}

}  // namespace fortros
