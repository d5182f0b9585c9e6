#include "core/address.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/text.h"

namespace fortros {

static constexpr ByteArray<12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

// A decimal number in its only canonical spelling: no sign, no leading zero.
static std::optional<std::uint16_t> parse_canonical(std::string_view text) {
    if (text.size() > 1 && text.front() == '0') return std::nullopt;
    return parse_number<std::uint16_t>(text);
}

IpAddress IpAddress::v4(ByteArray<4> bytes) {
    IpAddress address;
    std::ranges::copy(bytes, address.m_bytes.begin());
    return address;
}

IpAddress IpAddress::v6(ByteArray<16> bytes) {
    IpAddress address;
    address.m_family = Family::IPv6;
    address.m_bytes = bytes;
    return address;
}

std::optional<IpAddress> IpAddress::from_bytes(ByteView bytes) {
    if (bytes.size() == 4) return v4(ByteReader(bytes).array<4>());
    if (bytes.size() != 16) return std::nullopt;
    if (std::ranges::equal(bytes.first(mapped_prefix.size()), mapped_prefix)) return std::nullopt;
    return v6(ByteReader(bytes).array<16>());
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
    // inet_pton wants a C string; a NUL inside would hide what follows it.
    char copy[INET6_ADDRSTRLEN] = {};
    if (text.size() >= sizeof copy || text.contains('\0')) return std::nullopt;
    std::ranges::copy(text, copy);
    ByteArray<16> bytes{};
    const bool is_v6 = text.contains(':');
    if (inet_pton(is_v6 ? AF_INET6 : AF_INET, copy, bytes.data()) != 1) return std::nullopt;
    return from_bytes(ByteView(bytes).first(is_v6 ? 16 : 4));
}

bool IpAddress::is_unspecified() const {
    return std::ranges::all_of(bytes(), [](std::uint8_t byte) { return byte == 0; });
}

bool IpAddress::is_loopback() const {
    if (is_v4()) return m_bytes[0] == 127;
    ByteArray<16> loopback{};
    loopback.back() = 1;
    return m_bytes == loopback;
}

bool IpAddress::is_multicast() const {
    return is_v4() ? m_bytes[0] >> 4 == 0xe : m_bytes[0] == 0xff;
}

bool IpAddress::is_link_local() const {
    if (is_v4()) return m_bytes[0] == 169 && m_bytes[1] == 254;
    return m_bytes[0] == 0xfe && (m_bytes[1] & 0xc0) == 0x80;
}

std::string IpAddress::text() const {
    char text[INET6_ADDRSTRLEN];
    return inet_ntop(is_v4() ? AF_INET : AF_INET6, m_bytes.data(), text, sizeof text);
}

std::optional<IpNetwork> IpNetwork::parse(std::string_view text) {
    const auto slash = text.find('/');
    const auto address = IpAddress::parse(text.substr(0, slash));
    if (!address) return std::nullopt;
    if (slash == std::string_view::npos) return host(*address);
    const auto length = parse_canonical(text.substr(slash + 1));
    if (!length || *length > address->bits()) return std::nullopt;
    return IpNetwork{*address, static_cast<std::uint8_t>(*length)};
}

IpNetwork IpNetwork::host(const IpAddress& address) {
    return {address, static_cast<std::uint8_t>(address.bits())};
}

IpNetwork IpNetwork::network() const {
    ByteArray<16> masked{};
    std::ranges::copy(address.bytes(), masked.begin());
    for (std::size_t i = 0; i < masked.size(); ++i) {
        const std::size_t kept = std::clamp<std::size_t>(length, 8 * i, 8 * i + 8) - 8 * i;
        masked[i] = static_cast<std::uint8_t>(masked[i] & ~(0xffU >> kept));
    }
    if (address.is_v4())
        return {IpAddress::v4({masked[0], masked[1], masked[2], masked[3]}), length};
    return {IpAddress::v6(masked), length};
}

bool IpNetwork::contains(const IpAddress& other) const {
    return IpNetwork{other, length}.network().address == network().address;
}

std::string IpNetwork::text() const { return address.text() + "/" + std::to_string(length); }

// Takes "[2001:db8::1]:443", "[2001:db8::1]", "2001:db8::1", "192.0.2.1:443" and "192.0.2.1" apart.
// Without brackets, a text with more than one colon is an address alone.
static bool split_endpoint(std::string_view text, std::string_view& address,
                           std::optional<std::string_view>& port) {
    const bool bracketed = text.starts_with('[');
    if (bracketed) {
        const auto end = text.find(']');
        if (end == std::string_view::npos) return false;
        address = text.substr(1, end - 1);
        if (!address.contains(':')) return false;
        text.remove_prefix(end + 1);
        if (text.empty()) return true;
        if (text.front() != ':') return false;
        port = text.substr(1);
        return true;
    }
    const auto colon = text.find(':');
    address = text;
    if (colon == std::string_view::npos || colon != text.rfind(':')) return true;
    address = text.substr(0, colon);
    port = text.substr(colon + 1);
    return true;
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) { return parse(text, 0); }

std::optional<Endpoint> Endpoint::parse(std::string_view text, std::uint16_t default_port) {
    std::string_view address_text;
    std::optional<std::string_view> port_text;
    if (!split_endpoint(text, address_text, port_text)) return std::nullopt;
    const auto address = IpAddress::parse(address_text);
    const auto port = port_text ? parse_canonical(*port_text) : default_port;
    if (!address || !port || *port == 0) return std::nullopt;
    return Endpoint{*address, *port};
}

std::string Endpoint::text() const {
    std::string host = address.text();
    if (!address.is_v4()) host = "[" + host + "]";
    return host + ":" + std::to_string(port);
}

static bool is_label(std::string_view label) {
    const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-'; };
    return !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-' &&
           std::ranges::all_of(label, fits);
}

std::optional<std::string> parse_host_name(std::string_view text) {
    if (text.ends_with('.')) text.remove_suffix(1);
    if (text.size() > 253) return std::nullopt;
    std::string name = to_lower(text);
    if (!std::ranges::all_of(split(name, '.'), is_label)) return std::nullopt;
    // Digits alone would be an address to many a resolver.
    if (std::ranges::none_of(name, [](char c) { return c >= 'a' && c <= 'z'; }))
        return std::nullopt;
    return name;
}

}  // namespace fortros
