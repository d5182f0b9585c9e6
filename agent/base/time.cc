#include "base/time.h"

#include <cstdio>

#include "base/text.h"

namespace fortros {

std::string to_rfc3339(WallTime time) {
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
    return std::chrono::sys_days{date} + std::chrono::hours{*hour} +
           std::chrono::minutes{*minute} + std::chrono::seconds{*second};
}

static std::optional<Duration> unit_of(std::string_view name) {
    struct Unit {
        std::string_view name;
        Duration size;
    };
    static constexpr Unit units[] = {
        {"ms", 1ms},  {"", 1s},     {"s", 1s},   {"sec", 1s},
        {"m", 1min},  {"min", 1min}, {"h", 1h},  {"hr", 1h},
        {"d", 24h},   {"w", 7 * 24h},
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
        if (!number || *number > longest * 1000) return std::nullopt;
        text.remove_prefix(digits);
        auto letters = std::min(text.find_first_of("0123456789 "), text.size());
        auto unit = unit_of(text.substr(0, letters));
        if (!unit) return std::nullopt;
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
    if (duration < 1s)
        std::snprintf(text, sizeof text, "%.0f ms", milliseconds_of(duration));
    else if (duration < 100s)
        std::snprintf(text, sizeof text, "%.1f s", milliseconds_of(duration) / 1000);
    else
        std::snprintf(text, sizeof text, "%.0f min", milliseconds_of(duration) / 60000);
    return text;
}

}  // namespace fortros
