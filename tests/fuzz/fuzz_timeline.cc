// Any bytes as the events of a boot: whatever is drawn of them stays within bounds.
#include "base/bytes.h"
#include "preboot/timeline.h"

using namespace fortros;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto timeline = read_timeline(as_text({data, size}));
    if (!timeline) return 0;
    ASSERT(timeline->rows.size() <= timeline_rows_limit);
    ASSERT(timeline->troubles.size() <= timeline_troubles_limit);
    std::size_t bars = 0;
    for (const auto& row : timeline->rows) {
        bars += row.bars.size();
        for (const auto& bar : row.bars)
            ASSERT(Duration{} <= bar.begin && bar.begin <= bar.end && bar.end <= timeline->took);
    }
    ASSERT(bars <= timeline_bars_limit);
    for (const char c : to_text(*timeline, {.width = 80}))
        ASSERT(c == '\n' || (c >= ' ' && c <= '~'));
    ASSERT(to_svg(*timeline).ends_with("</svg>\n"));
    return 0;
}
