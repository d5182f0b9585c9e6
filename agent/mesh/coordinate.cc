#include "mesh/coordinate.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace fortros::mesh {

namespace {

// The paper's constants: how far a sample may move the point, and the weight of its error.
constexpr double step_share = 0.25;
constexpr double error_share = 0.25;
constexpr double error_share_young = 0.6;  // as long as next to nothing is known
constexpr double height_minimum = 1;       // a tenth of a millisecond

constexpr double units_per_millisecond = 10;

struct Offset {
    std::array<double, 3> direction{};  // of length 1
    double distance = 0;
};

// From `b` to `a`.
Offset offset(const Coordinate& a, const Coordinate& b, std::uint64_t seed) {
    Offset out;
    double square = 0;
    for (std::size_t i = 0; i < 3; ++i) {
        out.direction[i] = a.position[i] - b.position[i];
        square += out.direction[i] * out.direction[i];
    }
    out.distance = std::sqrt(square);
    if (out.distance < 1) {
        // At one point: any direction will do, but not the same for both.
        for (std::size_t i = 0; i < 3; ++i)
            out.direction[i] = static_cast<double>(seed >> (i * 16) & 0xffff) - 32767.5;
        square = 0;
        for (double part : out.direction) square += part * part;
    }
    const double length = std::sqrt(square);
    for (double& part : out.direction) part /= length;
    return out;
}

double distance(const Coordinate& a, const Coordinate& b) {
    return offset(a, b, 1).distance + a.height + b.height;
}

template <typename Number>
Number clamped(double value, double least) {
    const double most = std::numeric_limits<Number>::max();
    return static_cast<Number>(std::lround(std::clamp(value, least, most)));
}

}  // namespace

Duration estimate_rtt(const Coordinate& a, const Coordinate& b) {
    const double units = distance(a, b);
    return std::chrono::duration_cast<Duration>(
        std::chrono::duration<double, std::milli>(units / units_per_millisecond));
}

Coordinate moved(const Coordinate& own, const Coordinate& other, Duration rtt, std::uint64_t seed) {
    const double measured = std::max(milliseconds_of(rtt) * units_per_millisecond, 1.0);
    const double own_error = std::clamp(own.error / 1000.0, 0.01, 2.0);
    const double other_error = std::clamp(other.error / 1000.0, 0.01, 2.0);
    const double weight = own_error / (own_error + other_error);
    const double miss = measured - distance(own, other);
    const double share = weight * (own_error >= 1 ? error_share_young : error_share);
    const double error = std::abs(miss) / measured * share + own_error * (1 - share);

    const Offset away = offset(own, other, seed);
    const double force = step_share * weight * miss;
    Coordinate out;
    for (std::size_t i = 0; i < 3; ++i)
        out.position[i] =
            clamped<std::int16_t>(own.position[i] + force * away.direction[i], -32767);
    const double reach = std::max(away.distance, 1.0);
    const double height = own.height + force * (own.height + other.height) / reach;
    out.height = clamped<std::uint16_t>(std::min(height, measured), height_minimum);
    out.error = clamped<std::uint16_t>(std::min(error, 2.0) * 1000, 1);
    return out;
}

}  // namespace fortros::mesh
