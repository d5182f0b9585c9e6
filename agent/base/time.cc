#include "base/time.h"

#include <algorithm>
#include <cstdio>

#include "base/text.h"

namespace fortros {

// The years that four digits can say; a time beyond them is garbage, but may have to be printed.
static constexpr WallTime first_time = std::chrono::sys_days{std::chrono::year{0} / 1 / 1};
static constexpr WallTime last_time =
    std::chrono::sys_days{std::chrono::year{10000} / 1 / 1} - std::chrono::seconds{1};

std::string to_rfc3339(WallTime time) {
    time = std::clamp(time, first_time, last_time);
    auto day = std::chrono::floor<std::chrono::days>(time);
    std::chrono::year_month_day date{day};
    std::chrono::hh_mm_ss clock{time - day};
    char text[40];
    std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02ld:%02ld:%02ldZ", int{date.year()},
                  unsigned{date.month()}, unsigned{date.day()}, clock.hours().count(),
                  clock.minutes().count(), clock.seconds().count());
    return text;
}

std::optional<WallTime> from_rfc3339(std::string_view text) {
    if (text.size() != 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' ||
        text[13] != ':' || text[16] != ':' || text[19] != 'Z')
        return std::nullopt;
    auto year = parse_number<unsigned>(text.substr(0, 4));
    auto month = parse_number<unsigned>(text.substr(5, 2));
    auto day = parse_number<unsigned>(text.substr(8, 2));
    auto hour = parse_number<unsigned>(text.substr(11, 2));
    auto minute = parse_number<unsigned>(text.substr(14, 2));
    auto second = parse_number<unsigned>(text.substr(17, 2));
    if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
    std::chrono::year_month_day date{std::chrono::year{static_cast<int>(*year)},
                                     std::chrono::month{*month}, std::chrono::day{*day}};
    if (!date.ok() || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
    return std::chrono::sys_days{date} + std::chrono::hours{*hour} + std::chrono::minutes{*minute} +
           std::chrono::seconds{*second};
}

static std::optional<Duration> unit_of(std::string_view name) {
    struct Unit {
        std::string_view name;
        Duration size;
    };
    static constexpr Unit units[] = {
        {"ms", 1ms},   {"", 1s},  {"s", 1s},  {"sec", 1s}, {"m", 1min},
        {"min", 1min}, {"h", 1h}, {"hr", 1h}, {"d", 24h},  {"w", 7 * 24h},
    };
    for (const auto& unit : units)
        if (unit.name == name) return unit.size;
    return std::nullopt;
}

std::optional<Duration> parse_duration(std::string_view text) {
    constexpr std::uint64_t longest = 10ULL * 366 * 86400;
    text = trim(text);
    if (text.empty()) return std::nullopt;
    Duration total{};
    while (!text.empty()) {
        auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
        auto number = parse_number<std::uint64_t>(text.substr(0, digits));
        if (!number) return std::nullopt;
        text = trim(text.substr(digits));
        auto letters = std::min(text.find_first_of("0123456789 \t"), text.size());
        auto unit = unit_of(text.substr(0, letters));
        // "1 30" may mean 31 seconds or a minute and a half: a number that others follow has a unit.
        if (!unit || (letters == 0 && !text.empty())) return std::nullopt;
        if (*number > static_cast<std::uint64_t>(Duration{std::chrono::seconds{longest}} / *unit))
            return std::nullopt;
        total += *unit * static_cast<std::int64_t>(*number);
        if (total > std::chrono::seconds{longest}) return std::nullopt;
        text = trim(text.substr(letters));
    }
    return total;
}

std::string to_text(Duration duration) {
    char text[40];
    const long seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
    if (duration < 1s)
        std::snprintf(text, sizeof text, "%.0f ms", milliseconds_of(duration));
    else if (duration < 100s)
        std::snprintf(text, sizeof text, "%.1f s", milliseconds_of(duration) / 1000);
    else if (seconds % 86400 == 0)
        std::snprintf(text, sizeof text, "%ld d", seconds / 86400);
    else if (seconds % 3600 == 0)
        std::snprintf(text, sizeof text, "%ld h", seconds / 3600);
    else if (seconds % 60 == 0)
        std::snprintf(text, sizeof text, "%ld min", seconds / 60);
    else
        std::snprintf(text, sizeof text, "%ld s", seconds);
    return text;
}

}  // namespace fortros
