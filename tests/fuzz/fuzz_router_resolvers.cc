// The options of router advertisements, which any host on the wire can send.
#include "base/result.h"
#include "core/router_resolvers.h"

using namespace fortros;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    RouterResolvers known;
    Instant now{};
    for (int i = 0; i < 3; ++i) {
        const auto resolvers = parse_router_resolvers({data, size});
        if (!resolvers) return 0;
        known.heard(*resolvers, now);
        ASSERT(known.addresses().size() <= router_resolvers_limit);
        ASSERT(known.deadline() > now);
        if (known.deadline() == Instant::max()) return 0;
        now = known.deadline();
    }
    return 0;
}
