// What a DHCPv6 server gives: resolvers, and an address if it was asked for one (RFC 8415, 3646).
// Made from an ADVERTISE or REPLY and checked before anybody believes it; it configures nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "core/address.h"
#include "core/dhcp6_message.h"

namespace fortros {

// One server's identifier, and a client's (DUID, RFC 8415 section 11.1).
inline constexpr std::size_t duid_limit = 130;

struct Dhcp6Lease {
    std::optional<IpAddress> address{};   // absent: only what follows from the network is known
    std::chrono::seconds preferred{};     // of the address, at most lifetime
    std::chrono::seconds lifetime{};      // from shortest_lease to endless_lease
    std::chrono::seconds renew_after{};   // T1 < T2 < lifetime
    std::chrono::seconds rebind_after{};  // T2
    std::vector<IpAddress> resolvers{};
    std::vector<IpAddress> ntp_servers{};
    std::chrono::seconds refresh_after{};  // to ask again when there is no address
    Bytes server_id{};                     // DUID
    Bytes client_id{};                     // DUID, as sent; this and the rest is the client's work
    std::uint32_t iaid = 0;                // as sent
    Instant acquired{};                    // all times count from here
    bool operator==(const Dhcp6Lease&) const = default;
};

// What a message tells about the network, address or not. InvalidData when it does not say which
// server it is from, or tells nothing but that something went wrong. An optional part that does not
// parse counts as absent.
Result<Dhcp6Lease> information_of(const Dhcp6Message& message);

// The same with the address that it gives to the association `iaid`. NotFound when the server has
// none to give, or does not know the one that it was asked about, which is no word against it;
// Refused when it takes it back; InvalidData when what it gives cannot be lived with.
Result<Dhcp6Lease> lease_of(const Dhcp6Message& message, std::uint32_t iaid);

}  // namespace fortros
