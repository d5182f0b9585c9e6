#include "gateway/tls_record.h"

namespace fortros::gateway {

static constexpr std::uint8_t handshake_record = 22;

std::size_t first_record_size(ByteView beginning) {
    if (!beginning.empty() && beginning[0] != handshake_record) return beginning.size();
    if (beginning.size() < tls_record_head) return tls_record_head;
    const std::size_t size = std::size_t{beginning[3]} << 8 | beginning[4];
    return size <= tls_record_limit ? tls_record_head + size : beginning.size();
}

}  // namespace fortros::gateway
