// The scale of a timeline, the same in every drawing: how spans are written, and where lines go.
#include "preboot/timeline.h"

namespace fortros {

std::string to_fine_text(Duration span) {
    if (span >= 10ms) return to_text(span);
    const std::int64_t tenths = span.count() / 100;
    return std::to_string(tenths / 10) +
           (tenths % 10 == 0 ? "" : "." + std::to_string(tenths % 10)) + " ms";
}

std::vector<std::pair<Duration, std::string>> ticks_of(Duration whole, std::size_t most) {
    static constexpr std::int64_t steps[] = {1, 2, 5};
    std::int64_t unit = 1;
    std::int64_t step = 1;
    const auto wanted = static_cast<std::int64_t>(most);
    for (std::size_t i = 0; whole.count() / step >= wanted && i < 54; ++i) {
        if (i > 0 && i % 3 == 0) unit *= 10;
        step = steps[i % 3] * unit;
    }
    std::vector<std::pair<Duration, std::string>> ticks;
    for (std::int64_t at = 0; at <= whole.count() && ticks.size() <= most; at += step)
        ticks.emplace_back(Duration{at}, at == 0 ? "0" : to_fine_text(Duration{at}));
    return ticks;
}

}  // namespace fortros
