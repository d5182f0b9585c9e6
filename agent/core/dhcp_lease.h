// What a DHCPv4 server gives: address, routes, resolvers and for how long (RFC 2132, 3442). A lease
// is made from an OFFER or ACK and checked before anybody believes it; it configures nothing.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "core/address.h"
#include "core/dhcp_message.h"

namespace fortros {

// More than this many addresses or routes in one option are not looked at.
inline constexpr std::size_t dhcp_addresses_limit = 8;
inline constexpr std::size_t dhcp_routes_limit = 32;

// A lease that never ends (RFC 2131 section 3.3).
inline constexpr std::chrono::seconds endless_lease{0xffffffff};
// Shorter ones would be renewed in a tight loop.
inline constexpr std::chrono::seconds shortest_lease{10};

// Smaller MTUs are not believed: they would take IPv6, and with it the overlay, off the link
// (RFC 8200 section 5).
inline constexpr std::uint16_t smallest_mtu = 1280;

struct DhcpRoute {
    IpNetwork destination;
    IpAddress gateway;  // 0.0.0.0: on the link itself (RFC 3442)
    bool operator==(const DhcpRoute&) const = default;
};

struct DhcpLease {
    IpNetwork address;
    std::optional<IpAddress> broadcast{};  // option 28
    std::vector<DhcpRoute> routes{};       // option 121 if present, else option 3
    std::vector<IpAddress> resolvers{};
    std::vector<IpAddress> ntp_servers{};
    std::optional<std::uint16_t> mtu{};
    IpAddress server{};                   // option 54
    std::chrono::seconds lifetime{};      // from shortest_lease to endless_lease
    std::chrono::seconds renew_after{};   // T1 < T2 < lifetime
    std::chrono::seconds rebind_after{};  // T2
    Bytes client_id{};                    // as sent; this and the next are filled in by the client
    Instant acquired{};                   // all times count from here
    bool operator==(const DhcpLease&) const = default;
};

// What an OFFER or ACK gives. InvalidData when it cannot be lived with: no usable address, no
// server, a lease that is over before it began. An optional part that does not parse counts as
// absent, so that a broken time server does not keep a node off the network.
Result<DhcpLease> lease_of(const DhcpMessage& message);

}  // namespace fortros
