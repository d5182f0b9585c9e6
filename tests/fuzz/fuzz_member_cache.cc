// The members that a maintainer has written for the next one. What is read is written as it was.
#include "maintainer/member_cache.h"

using namespace fortros;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto cache = parse_member_cache(as_text({data, size}));
    if (!cache) return 0;
    const auto again = parse_member_cache(to_text(*cache));
    ASSERT(again && again->members == cache->members && again->signers == cache->signers);
    return 0;
}
