// Where a node is on a map of latencies, so that the RTT between two nodes that never spoke can be
// estimated: Vivaldi (Dabek, Cox, Kaashoek, Morris: "Vivaldi: A Decentralized Network Coordinate
// System", 2004). A hint: it chooses whom to try, never whom to keep.
#pragma once

#include <array>
#include <cstdint>

#include "base/time.h"

namespace fortros::mesh {

// A point and a height above the plain (the access link, paid by each packet), in tenths of a
// millisecond. In a datagram: 3 x 2 bytes (two's complement), height (2), error (2), big-endian.
struct Coordinate {
    std::array<std::int16_t, 3> position{};
    std::uint16_t height = 0;
    std::uint16_t error = unknown_error;  // of an estimate, in thousandths of it

    static constexpr std::uint16_t unknown_error = 2000;
    // Good enough for an estimate to be worth a try.
    bool known() const { return error < unknown_error / 2; }
    bool operator==(const Coordinate&) const = default;
};

// Two nodes, one way and back.
Duration estimate_rtt(const Coordinate& a, const Coordinate& b);

// One's own coordinate after `rtt` was measured to a node at `other`. `seed` breaks the tie of two
// nodes at one point.
Coordinate moved(const Coordinate& own, const Coordinate& other, Duration rtt, std::uint64_t seed);

}  // namespace fortros::mesh
