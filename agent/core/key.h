// WireGuard's keys: Curve25519 points and scalars, and their spellings. A public key is a node's
// identity; a private key wipes itself and is never spelt.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/secret.h"

namespace fortros {

inline constexpr std::size_t key_size = 32;

// A clamped X25519 scalar (RFC 7748 section 5).
using PrivateKey = Secret<key_size>;

struct PublicKey {
    ByteArray<key_size> bytes{};

    bool operator==(const PublicKey&) const = default;
    // By the bytes. Keys are as good as random: the first eight, as one number, nearly always decide.
    std::strong_ordering operator<=>(const PublicKey& other) const {
        const std::uint64_t first = rank(), others_first = other.rank();
        if (first != others_first) return first <=> others_first;
        return bytes <=> other.bytes;
    }
    // Its first eight bytes, big-endian.
    std::uint64_t rank() const {
        std::uint64_t number = 0;
        for (std::size_t i = 0; i < sizeof(number); ++i) number = number << 8 | bytes[i];
        return number;
    }

    // As wg(8) prints it: 44 characters.
    std::string base64() const;
    // As headers and URIs carry it: 43 characters of base64url.
    std::string base64url() const;

    // Only canonical spellings of canonical keys: bytes that encode a number below 2^255 - 19.
    // Others would name the same point twice, and the kernel never completes a handshake with a
    // key that has bit 255 set.
    static std::optional<PublicKey> from_base64(std::string_view text);
    static std::optional<PublicKey> from_base64url(std::string_view text);
    static std::optional<PublicKey> from_bytes(ByteView bytes);
};

}  // namespace fortros
