// The two kinds of time: a monotonic instant, for deadlines, and the wall clock, for certificates
// and WireGuard. Nothing here reads a clock; whoever needs the time is given it.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace fortros {

using namespace std::chrono_literals;

using Duration = std::chrono::microseconds;

// A monotonic clock that starts somewhere: CLOCK_BOOTTIME in the rim, a counter in tests.
struct MonotonicClock {
    using duration = Duration;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<MonotonicClock>;
    static constexpr bool is_steady = true;
};
using Instant = MonotonicClock::time_point;

// Seconds since 1970-01-01 UTC, as certificates count them.
using WallTime = std::chrono::sys_seconds;

inline constexpr std::chrono::days one_day{1};

inline double milliseconds_of(Duration duration) {
    return std::chrono::duration<double, std::milli>(duration).count();
}

// "2026-11-22T10:00:00Z" (RFC 3339, UTC), both ways. What lies outside of the years 0000 to 9999 is
// written as the nearest time within.
std::string to_rfc3339(WallTime time);
std::optional<WallTime> from_rfc3339(std::string_view text);

// A time span as systemd.time(7) writes it: "500ms", "10s", "2min", "1h", "7d", or a plain number
// of seconds; several with units may follow each other ("1min 30s"). Nothing negative, at most ten
// years.
std::optional<Duration> parse_duration(std::string_view text);
// For people: "41 ms", "1.5 s", "2 min", "150 s", "1 d".
std::string to_text(Duration duration);

}  // namespace fortros
