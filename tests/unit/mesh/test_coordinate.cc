#include "mesh/coordinate.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"

using namespace fortros;
using namespace fortros::mesh;

// A node would try strangers on other continents, and never find the one next door.
TEST_CASE("nodes that measure a few others can tell how far the rest are") {
    SeededRandom dice(3);
    struct Place {
        double x, y;
        Coordinate guess{};
    };
    std::vector<Place> nodes(60);
    for (Place& node : nodes) node = {dice.unit() * 100, dice.unit() * 100};
    const auto rtt = [](const Place& a, const Place& b) {
        return Duration(static_cast<long>(1000 * (2 + std::hypot(a.x - b.x, a.y - b.y))));
    };
    for (int round = 0; round < 100; ++round)
        for (std::size_t i = 0; i < nodes.size(); ++i) {
            const std::size_t other = (i * 7 + 1 + dice.below(10)) % nodes.size();
            if (other == i) continue;
            nodes[i].guess = moved(nodes[i].guess, nodes[other].guess, rtt(nodes[i], nodes[other]),
                                   dice.below(1U << 30));
        }
    std::vector<double> misses;
    unsigned known = 0;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        known += nodes[i].guess.known() ? 1 : 0;
        for (std::size_t k = 0; k < i; ++k) {
            const double real = milliseconds_of(rtt(nodes[i], nodes[k]));
            const double guess = milliseconds_of(estimate_rtt(nodes[i].guess, nodes[k].guess));
            misses.push_back(std::abs(guess - real) / real);
        }
    }
    std::ranges::sort(misses);
    CHECK(known >= 54);
    CHECK(misses[misses.size() / 2] < 0.25);
}
