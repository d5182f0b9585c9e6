#include "core/key.h"

#include <algorithm>

#include "base/encoding.h"

namespace fortros {

// 2^255 - 19, as the kernel stores a key: little-endian.
static constexpr ByteArray<key_size> field_prime = [] {
    ByteArray<key_size> bytes;
    bytes.fill(0xff);
    bytes.front() = 0xed;
    bytes.back() = 0x7f;
    return bytes;
}();

static bool is_canonical(const ByteArray<key_size>& bytes) {
    return std::lexicographical_compare(bytes.rbegin(), bytes.rend(), field_prime.rbegin(),
                                        field_prime.rend());
}

std::string PublicKey::base64() const { return to_base64(bytes); }

std::string PublicKey::base64url() const { return to_base64url(bytes); }

std::optional<PublicKey> PublicKey::from_bytes(ByteView bytes) {
    if (bytes.size() != key_size) return std::nullopt;
    PublicKey key;
    std::ranges::copy(bytes, key.bytes.begin());
    if (!is_canonical(key.bytes)) return std::nullopt;
    return key;
}

static std::optional<PublicKey> from_decoded(const std::optional<Bytes>& bytes) {
    return bytes ? PublicKey::from_bytes(*bytes) : std::nullopt;
}

std::optional<PublicKey> PublicKey::from_base64(std::string_view text) {
    return from_decoded(fortros::from_base64(text));
}

std::optional<PublicKey> PublicKey::from_base64url(std::string_view text) {
    return from_decoded(fortros::from_base64url(text));
}

}  // namespace fortros
