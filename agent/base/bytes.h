// Bytes and how to walk them: owned and borrowed buffers, and a bounded big-endian reader and
// writer. They never read past an end: a short input is an error of the reader, checked once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace fortros {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;
template <std::size_t Size>
using ByteArray = std::array<std::uint8_t, Size>;

inline ByteView as_bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

inline std::string_view as_text(ByteView bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Compares in time that depends on the length alone. For MACs and hashes of secrets.
inline bool equal_in_constant_time(ByteView a, ByteView b) {
    if (a.size() != b.size()) return false;
    std::uint8_t difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i) difference |= static_cast<std::uint8_t>(a[i] ^ b[i]);
    return difference == 0;
}

// Reads big-endian fields from a borrowed buffer. After a short read every further read gives
// zeros and ok() is false, so a parser reads all its fields and asks once.
class ByteReader {
public:
    explicit ByteReader(ByteView bytes) : m_rest(bytes) {}

    bool ok() const { return m_ok; }
    std::size_t left() const { return m_rest.size(); }

    std::uint8_t u8() { return static_cast<std::uint8_t>(number(1)); }
    std::uint16_t u16() { return static_cast<std::uint16_t>(number(2)); }
    std::uint32_t u32() { return static_cast<std::uint32_t>(number(4)); }
    std::uint64_t u64() { return number(8); }

    // The next `size` bytes, borrowed; empty when there are not so many.
    ByteView take(std::size_t size) {
        if (size > m_rest.size()) {
            m_ok = false;
            m_rest = {};
            return {};
        }
        ByteView taken = m_rest.first(size);
        m_rest = m_rest.subspan(size);
        return taken;
    }

    template <std::size_t Size>
    ByteArray<Size> array() {
        ByteArray<Size> out{};
        ByteView taken = take(Size);
        if (taken.size() == Size) std::memcpy(out.data(), taken.data(), Size);
        return out;
    }

private:
    std::uint64_t number(std::size_t size) {
        std::uint64_t value = 0;
        for (std::uint8_t byte : take(size)) value = value << 8 | byte;
        return value;
    }

    ByteView m_rest;
    bool m_ok = true;
};

// Appends big-endian fields to a buffer that it owns.
class ByteWriter {
public:
    ByteWriter& u8(std::uint8_t value) { return number(value, 1); }
    ByteWriter& u16(std::uint16_t value) { return number(value, 2); }
    ByteWriter& u32(std::uint32_t value) { return number(value, 4); }
    ByteWriter& u64(std::uint64_t value) { return number(value, 8); }
    ByteWriter& bytes(ByteView value) {
        m_bytes.insert(m_bytes.end(), value.begin(), value.end());
        return *this;
    }
    ByteWriter& text(std::string_view value) { return bytes(as_bytes(value)); }

    const Bytes& view() const { return m_bytes; }
    Bytes take() { return std::move(m_bytes); }

private:
    ByteWriter& number(std::uint64_t value, int size) {
        for (int shift = (size - 1) * 8; shift >= 0; shift -= 8)
            m_bytes.push_back(static_cast<std::uint8_t>(value >> shift));
        return *this;
    }

    Bytes m_bytes;
};

}  // namespace fortros
