// What can be told of a TLS connection by its first bytes, before there is a session: how much of it to
// wait for. It never touches a socket, and believes nothing that it reads.
#pragma once

#include <cstddef>

#include "base/bytes.h"

namespace fortros::gateway {

// Of a record, and what it may hold at most (RFC 8446 section 5.1).
inline constexpr std::size_t tls_record_head = 5;
inline constexpr std::size_t tls_record_limit = std::size_t{1} << 14;

// How long the record is that a client begins with, of which these are the first bytes, head included:
// as long as its head while that is not whole, and no longer than what is there if no handshake can
// begin so.
std::size_t first_record_size(ByteView beginning);

}  // namespace fortros::gateway
