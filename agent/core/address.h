// Addresses of the underlay and the overlay: IPv4 and IPv6 addresses, networks and endpoints, with
// one canonical spelling each (RFC 5952 for IPv6). No name is ever resolved here.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace fortros {

enum class Family : std::uint8_t { IPv4 = 4, IPv6 = 6 };

// An IPv4 or IPv6 address. An IPv4-mapped IPv6 address is refused by parse: it would be a second
// name of the same host.
class IpAddress {
public:
    IpAddress() = default;  // 0.0.0.0
    static IpAddress v4(ByteArray<4> bytes);
    static IpAddress v6(ByteArray<16> bytes);
    static std::optional<IpAddress> parse(std::string_view text);
    // From 4 or 16 bytes in network order.
    static std::optional<IpAddress> from_bytes(ByteView bytes);

    Family family() const { return m_family; }
    bool is_v4() const { return m_family == Family::IPv4; }
    ByteView bytes() const { return {m_bytes.data(), is_v4() ? 4U : 16U}; }
    unsigned bits() const { return is_v4() ? 32 : 128; }

    bool is_unspecified() const;
    bool is_loopback() const;
    bool is_multicast() const;
    bool is_link_local() const;

    std::string text() const;
    auto operator<=>(const IpAddress&) const = default;

private:
    Family m_family = Family::IPv4;
    ByteArray<16> m_bytes{};
};

// An address with a prefix length; host bits are kept as given ("192.0.2.7/24" is an interface's
// address, `network()` its network).
struct IpNetwork {
    IpAddress address;
    std::uint8_t length = 0;

    static std::optional<IpNetwork> parse(std::string_view text);  // a bare address is a host
    static IpNetwork host(const IpAddress& address);

    bool contains(const IpAddress& other) const;
    IpNetwork network() const;
    std::string text() const;
    auto operator<=>(const IpNetwork&) const = default;
};

// A UDP or TCP endpoint: "192.0.2.1:443", "[2001:db8::1]:443". The port is not 0.
struct Endpoint {
    IpAddress address;
    std::uint16_t port = 0;

    static std::optional<Endpoint> parse(std::string_view text);
    // As above, and a bare address gets `default_port`.
    static std::optional<Endpoint> parse(std::string_view text, std::uint16_t default_port);

    std::string text() const;
    auto operator<=>(const Endpoint&) const = default;
};

// A DNS host name: letters, digits and hyphens in labels of at most 63, 253 characters in all, at
// least one letter, lower case, without the final dot.
std::optional<std::string> parse_host_name(std::string_view text);

}  // namespace fortros
