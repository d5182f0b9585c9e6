// Any text as the hand-off that the maintainer reads: what is read is written as the same.
#include "base/bytes.h"
#include "core/handoff.h"

using namespace fortros;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto hand_off = parse_hand_off(as_text({data, size}));
    if (!hand_off) return 0;
    ASSERT(hand_off->uplinks.size() <= uplinks_limit);
    const std::string written = to_json_text(*hand_off);
    if (written.size() > handoff_size_limit) return 0;
    const auto again = parse_hand_off(written);
    ASSERT(again && to_json_text(*again) == written);
    return 0;
}
