// Who a gateway is, after TLS has verified its chain: the checks of the leaf certificate that TLS
// libraries leave out, and the WireGuard key that the org CA vouches for. Pure: the rim extracts
// the facts, this judges them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "core/key.h"
#include "core/proof.h"

namespace fortros {

inline constexpr std::string_view wireguard_uri_prefix = "urn:fortros:wireguard:";

// What the rim reads off a verified chain.
struct LeafFacts {
    bool is_ca = false;
    bool has_extended_key_usage = false;
    bool has_server_auth = false;  // 1.3.6.1.5.5.7.3.1 itself, not anyExtendedKeyUsage
    bool has_any_usage = false;
    std::vector<std::string> dns_names{};
    std::vector<std::string> uris{};
    WallTime newest_not_before{};   // of the whole chain
    WallTime earliest_not_after{};  // of the whole chain
};

struct GatewayIdentity {
    PublicKey wireguard_key;
    WallTime newest_not_before{};
    WallTime earliest_not_after{};
    Exporter exporter{};  // of this TLS connection
};

// Untrusted, with the reason, unless the leaf is exactly what certs/ issues for a gateway: an
// end-entity certificate with extended key usage serverAuth, without anyExtendedKeyUsage, with a
// dNSName equal to `gateway_name` (ASCII case ignored; a wildcard never matches), and with exactly
// one WireGuard URI.
Result<PublicKey> check_leaf(const LeafFacts& leaf, std::string_view gateway_name);

}  // namespace fortros
