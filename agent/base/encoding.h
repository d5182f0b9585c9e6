// Hexadecimal and Base64 (RFC 4648), both ways. Decoding is strict: exactly one text stands for
// each value, so a decoded key has one spelling. Not for secrets that must not leak by timing.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace fortros {

std::string to_hex(ByteView bytes);
std::optional<Bytes> from_hex(std::string_view text);

// RFC 4648 section 4, with padding.
std::string to_base64(ByteView bytes);
std::optional<Bytes> from_base64(std::string_view text);

// RFC 4648 section 5, without padding.
std::string to_base64url(ByteView bytes);
std::optional<Bytes> from_base64url(std::string_view text);

}  // namespace fortros
