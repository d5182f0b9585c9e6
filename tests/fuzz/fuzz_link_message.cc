// A body of a mesh datagram: what parses is written back as the same bytes, and keeps to its bounds.
#include <algorithm>

#include "core/attestation.h"
#include "mesh/link_message.h"

using namespace fortros;
using namespace fortros::mesh;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto message = parse_link_message({data, size});
    if (!message) return 0;
    ASSERT(std::ranges::equal(encode(*message), ByteView(data, size)));
    ASSERT(message->standing.candidates.size() <= candidates_limit);
    ASSERT(message->introductions.size() <= introductions_limit);
    ASSERT(message->attestation.size() <= attestation_size);
    ASSERT(name_of(message->verb) != "?" && name_of(message->standing.nat) != "?");
    return 0;
}
