// Secrets that wipe themselves: a key of fixed size and a text of any size. They can be moved and
// lent, never copied, compared with ==, or printed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "base/bytes.h"

namespace fortros {

// Overwrites memory in a way that the compiler may not remove.
inline void wipe(void* memory, std::size_t size) {
    auto* bytes = static_cast<volatile std::uint8_t*>(memory);
    while (size-- > 0) *bytes++ = 0;
}

template <std::size_t Size>
class Secret {
public:
    Secret() = default;
    explicit Secret(std::span<const std::uint8_t, Size> bytes) {
        std::copy(bytes.begin(), bytes.end(), m_bytes.begin());
    }
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    Secret(Secret&& other) noexcept : m_bytes(other.m_bytes) { other.clear(); }
    Secret& operator=(Secret&& other) noexcept {
        if (this != &other) {
            m_bytes = other.m_bytes;
            other.clear();
        }
        return *this;
    }
    ~Secret() { clear(); }

    // A copy, where one is really meant (a store that keeps its own).
    Secret duplicate() const { return Secret(view()); }

    std::span<const std::uint8_t, Size> view() const { return m_bytes; }
    std::span<std::uint8_t, Size> writable() { return m_bytes; }
    void clear() { wipe(m_bytes.data(), Size); }

private:
    ByteArray<Size> m_bytes{};
};

// A secret of a length that is known only at run time: an invite, a message that holds one.
class SecretBytes {
public:
    SecretBytes() = default;
    explicit SecretBytes(std::size_t size)
        : m_bytes(std::make_unique<std::uint8_t[]>(size)), m_size(size) {}
    explicit SecretBytes(ByteView bytes) : SecretBytes(bytes.size()) {
        std::copy(bytes.begin(), bytes.end(), m_bytes.get());
    }
    explicit SecretBytes(std::string_view text) : SecretBytes(as_bytes(text)) {}
    SecretBytes(const SecretBytes&) = delete;
    SecretBytes& operator=(const SecretBytes&) = delete;
    SecretBytes(SecretBytes&& other) noexcept
        : m_bytes(std::move(other.m_bytes)), m_size(std::exchange(other.m_size, 0)) {}
    SecretBytes& operator=(SecretBytes&& other) noexcept {
        if (this != &other) {
            clear();
            m_bytes = std::move(other.m_bytes);
            m_size = std::exchange(other.m_size, 0);
        }
        return *this;
    }
    ~SecretBytes() { clear(); }

    bool empty() const { return m_size == 0; }
    std::size_t size() const { return m_size; }
    ByteView view() const { return {m_bytes.get(), m_size}; }
    std::string_view text() const { return as_text(view()); }
    std::span<std::uint8_t> writable() { return {m_bytes.get(), m_size}; }
    void clear() {
        if (m_bytes) wipe(m_bytes.get(), m_size);
        m_bytes.reset();
        m_size = 0;
    }

private:
    std::unique_ptr<std::uint8_t[]> m_bytes;
    std::size_t m_size = 0;
};

}  // namespace fortros
