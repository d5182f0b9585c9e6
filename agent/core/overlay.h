// Overlay addresses: an org's random /48, and the address in it that follows from a node's key.
// Anyone can check an address against a key; nobody hands addresses out.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

#include "core/address.h"
#include "core/key.h"

namespace fortros {

// An RFC 4193 unique local prefix: fd, then 40 random bits.
struct OrgPrefix {
    ByteArray<6> bytes{};

    static std::optional<OrgPrefix> parse(std::string_view text);  // "fd12:3456:789a::/48"
    static std::optional<OrgPrefix> from_bytes(ByteView bytes);    // six bytes, the first 0xfd

    IpNetwork network() const;
    bool contains(const IpAddress& address) const { return network().contains(address); }
    std::string text() const;
    auto operator<=>(const OrgPrefix&) const = default;
};

// prefix48 || first 80 bits of SHA-256("fortros/overlay-address/v1" || 0x00 || prefix48 || key).
// The published vectors are in tests/vectors/overlay_address.json.
IpAddress overlay_address(const OrgPrefix& prefix, const PublicKey& key);

// Addresses that no node may have, whatever its key: the subnet-router anycast address (all 80
// bits zero), and the interface ids of RFC 5453 (reserved anycast, fdff:ffff:ffff:ff80-ffff).
bool is_reserved(const IpAddress& overlay_address);

}  // namespace fortros
