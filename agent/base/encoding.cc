#include "base/encoding.h"

namespace fortros {

static constexpr std::string_view hex_digits = "0123456789abcdef";
static constexpr std::string_view base64_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static constexpr std::string_view base64url_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string to_hex(ByteView bytes) {
    std::string text;
    text.reserve(bytes.size() * 2);
    for (auto byte : bytes) {
        text += hex_digits[byte >> 4];
        text += hex_digits[byte & 15];
    }
    return text;
}

static std::optional<unsigned> digit(std::string_view digits, char c) {
    auto at = digits.find(c);
    if (at == std::string_view::npos) return std::nullopt;
    return static_cast<unsigned>(at);
}

std::optional<Bytes> from_hex(std::string_view text) {
    if (text.size() % 2 != 0) return std::nullopt;
    Bytes bytes;
    bytes.reserve(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); i += 2) {
        auto high = digit(hex_digits, text[i]);
        auto low = digit(hex_digits, text[i + 1]);
        if (!high || !low) return std::nullopt;
        bytes.push_back(static_cast<std::uint8_t>(*high << 4 | *low));
    }
    return bytes;
}

static std::string encode64(ByteView bytes, std::string_view digits, bool padded) {
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::size_t size = std::min<std::size_t>(3, bytes.size() - i);
        std::uint32_t group = 0;
        for (std::size_t k = 0; k < 3; ++k) group = group << 8 | (k < size ? bytes[i + k] : 0U);
        for (std::size_t k = 0; k <= size; ++k) text += digits[group >> (18 - 6 * k) & 63];
        if (padded) text.append(3 - size, '=');
    }
    return text;
}

static std::optional<Bytes> decode64(std::string_view text, std::string_view digits) {
    if (text.size() % 4 == 1) return std::nullopt;
    Bytes bytes;
    bytes.reserve(text.size() * 3 / 4);
    std::uint32_t group = 0;
    int bits = 0;
    for (char c : text) {
        auto value = digit(digits, c);
        if (!value) return std::nullopt;
        group = group << 6 | *value;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes.push_back(static_cast<std::uint8_t>(group >> bits));
            group &= (1U << bits) - 1;
        }
    }
    // Left-over bits must be zero, or two texts would stand for one value.
    if (group != 0) return std::nullopt;
    return bytes;
}

std::string to_base64(ByteView bytes) { return encode64(bytes, base64_digits, true); }

std::optional<Bytes> from_base64(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
    return decode64(text, base64_digits);
}

std::string to_base64url(ByteView bytes) { return encode64(bytes, base64url_digits, false); }

std::optional<Bytes> from_base64url(std::string_view text) {
    return decode64(text, base64url_digits);
}

}  // namespace fortros
