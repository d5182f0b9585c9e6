// The sources that may name a gateway, and sets of them. It says nothing of how one is asked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fortros {

enum class Source : std::uint8_t { Cached, PublicDns, DhcpDns };

std::string_view name_of(Source source);  // "cached", "public-dns", "dhcp-dns"
std::optional<Source> source_from(std::string_view name);

// Which sources policy allows. Their order is fixed: cached, public DNS, DHCP DNS.
class SourceSet {
public:
    SourceSet() = default;
    static SourceSet all();
    static SourceSet only(Source source);

    bool has(Source source) const { return (m_bits & bit(source)) != 0; }
    bool empty() const { return m_bits == 0; }
    SourceSet& add(Source source) {
        m_bits |= bit(source);
        return *this;
    }
    // What both allow.
    SourceSet operator&(SourceSet other) const;
    std::string text() const;  // "cached public-dns"
    bool operator==(const SourceSet&) const = default;

    std::uint8_t bits() const { return m_bits; }
    static std::optional<SourceSet> from_bits(std::uint8_t bits);

private:
    static std::uint8_t bit(Source source) {
        return static_cast<std::uint8_t>(1U << static_cast<unsigned>(source));
    }
    std::uint8_t m_bits = 0;
};

// What one source may name; all else is not looked at.
inline constexpr std::size_t candidates_per_source_limit = 16;

}  // namespace fortros
