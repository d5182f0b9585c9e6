// A datagram that anybody on the link can send: what parses as a beacon is written back the same.
#include <algorithm>

#include "core/crypto.h"
#include "mesh/beacon.h"

using namespace fortros;
using namespace fortros::mesh;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const bool ready = crypto::initialise().has_value();
    ASSERT(ready);
    const OrgPrefix org{{0xfd, 0x12, 0x34, 0x56, 0x78, 0x9a}};
    const auto beacon = parse_beacon({data, size}, org);
    if (!beacon || !*beacon) return 0;
    ASSERT(std::ranges::equal(encode(**beacon, org), ByteView(data, size)));
    return 0;
}
