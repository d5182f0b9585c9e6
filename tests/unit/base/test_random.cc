#include "base/random.h"

#include <doctest/doctest.h>

#include <array>

using namespace fortros;

namespace {

// Gives the numbers that it was told to, big-endian, as below() reads them.
class Told final : public Random {
public:
    explicit Told(std::vector<std::uint64_t> numbers) : m_numbers(std::move(numbers)) {}

    void fill(std::span<std::uint8_t> bytes) override {
        REQUIRE(m_next < m_numbers.size());
        const std::uint64_t number = m_numbers[m_next++];
        for (std::size_t i = 0; i < bytes.size(); ++i)
            bytes[i] = static_cast<std::uint8_t>(number >> (56 - 8 * i));
    }
    std::size_t used() const { return m_next; }

private:
    std::vector<std::uint64_t> m_numbers;
    std::size_t m_next = 0;
};

}  // namespace

// A failing simulation prints its seed: the same seed must show the same failure, for ever.
TEST_CASE("a seed gives the same numbers everywhere") {
    SeededRandom random(1);
    ByteArray<800> bytes{};
    random.fill(bytes);
    // xoshiro256** seeded by splitmix64(1), little-endian words: the first and the hundredth.
    CHECK(ByteReader(bytes).u64() == 0xc510c70f6daff2b3);
    CHECK(ByteReader(ByteView(bytes).last(8)).u64() == 0xf90b5ee1abb3fc8f);
    CHECK(SeededRandom(7).below(1000000) == SeededRandom(7).below(1000000));
    CHECK(SeededRandom(7).below(UINT64_MAX) != SeededRandom(8).below(UINT64_MAX));
}

// Jitter that prefers small numbers lets a whole fleet come back in the same second.
TEST_CASE("a bounded number is drawn without bias") {
    // 2^64 - 1 = 6148914691236517205 * 3: the last, incomplete round must be drawn again.
    Told told({UINT64_MAX, 5});
    CHECK(told.below(3) == 2);
    CHECK(told.used() == 2);
    CHECK(Told({0}).below(1) == 0);
    CHECK(Told({UINT64_MAX - 1}).below(UINT64_MAX) == UINT64_MAX - 1);

    SeededRandom random(42);
    std::array<int, 5> seen{};
    for (int i = 0; i < 5000; ++i) ++seen[random.below(5)];
    for (int count : seen) CHECK(count > 850);
}

// A factor of 1 or more, or below 0, would make a pause longer than its bound.
TEST_CASE("a unit number is in [0, 1)") {
    CHECK(Told({0}).unit() == 0.0);
    CHECK(Told({(1ULL << 53) - 1}).unit() < 1.0);
    SeededRandom random(3);
    double sum = 0;
    for (int i = 0; i < 1000; ++i) sum += random.unit();
    CHECK(sum > 450);
    CHECK(sum < 550);
}

// A key's last bytes must not stay zero because a length is no multiple of eight.
TEST_CASE("every byte of any length is filled") {
    for (std::size_t size : {1UL, 7UL, 8UL, 9UL, 32UL, 33UL}) {
        CAPTURE(size);
        Bytes any(size, 0);
        SeededRandom random(9);
        for (int i = 0; i < 16; ++i) {
            Bytes bytes(size, 0);
            random.fill(bytes);
            for (std::size_t k = 0; k < size; ++k) any[k] |= bytes[k];
        }
        for (std::uint8_t byte : any) CHECK(byte != 0);
    }
}
