// The first bytes of a client, as they come in: what is waited for is bounded, is the same whatever follows
// the head, and is never less than what is there already.
#include "gateway/tls_record.h"

#include <algorithm>

#include "base/result.h"

using namespace fortros;
using namespace fortros::gateway;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView stream(data, size);
    const std::size_t head = std::min(size, tls_record_head);
    const std::size_t wanted = first_record_size(stream.first(head));
    ASSERT(wanted >= head && wanted <= tls_record_head + tls_record_limit);
    // Byte by byte: while the head is not whole, nothing beyond it is waited for, and who is not waited for
    // is never waited for again.
    bool is_refused = false;
    for (std::size_t there = 1; there <= head; ++there) {
        const std::size_t now = first_record_size(stream.first(there));
        ASSERT(there == head || now <= tls_record_head);
        ASSERT(!is_refused || now == there);
        is_refused = now == there && there < tls_record_head;
    }
    if (wanted > tls_record_head) ASSERT(first_record_size(stream) == wanted);
    return 0;
}
