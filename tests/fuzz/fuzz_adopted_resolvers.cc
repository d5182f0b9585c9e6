// Whatever somebody else in the initramfs has left in the files that Mode=adopt reads.
#include "base/result.h"
#include "core/adopted_resolvers.h"

using namespace fortros;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto resolvers = parse_adopted_resolvers(as_text({data, size}));
    ASSERT(resolvers.size() <= adopted_resolvers_limit);
    for (const IpAddress& resolver : resolvers) {
        ASSERT(!resolver.is_loopback() && !resolver.is_unspecified());
        // As resolv.conf has it, it is read the same.
        const auto again = parse_adopted_resolvers("nameserver " + resolver.text());
        ASSERT(again.size() == 1 && again[0] == resolver);
    }
    return 0;
}
