#include "core/gateway_identity.h"

#include <algorithm>
#include <optional>

#include "base/text.h"

namespace fortros {

static constexpr std::size_t names_shown = 4;

// What a certificate says it is for, for an error message.
static std::string list_of(const std::vector<std::string>& names) {
    std::vector<std::string> shown;
    for (const auto& name : names) {
        if (shown.size() == names_shown) {
            shown.emplace_back("and " + std::to_string(names.size() - names_shown) + " more");
            break;
        }
        shown.push_back(printable(name, 80));
    }
    return join(shown, ", ");
}

static Status check_usage(const LeafFacts& leaf) {
    if (leaf.is_ca)
        return fail(ErrorCode::Untrusted,
                    "the gateway's certificate is a CA certificate, which no gateway has");
    if (!leaf.has_extended_key_usage)
        return fail(ErrorCode::Untrusted, "the gateway's certificate has no extended key usage");
    if (leaf.has_any_usage)
        return fail(ErrorCode::Untrusted,
                    "the gateway's certificate may be used for anything (anyExtendedKeyUsage)");
    if (!leaf.has_server_auth)
        return fail(ErrorCode::Untrusted,
                    "the gateway's certificate is not for servers (no serverAuth)");
    return {};
}

static Status check_name(const LeafFacts& leaf, std::string_view gateway_name) {
    if (std::ranges::any_of(leaf.dns_names, [&](const std::string& name) {
            return equal_ignoring_case(name, gateway_name);
        }))
        return {};
    if (leaf.dns_names.empty())
        return fail(ErrorCode::Untrusted, "the gateway's certificate has no DNS name");
    return fail(ErrorCode::Untrusted,
                "the gateway's certificate is for other names: " + list_of(leaf.dns_names));
}

static Result<PublicKey> wireguard_key_of(const LeafFacts& leaf) {
    std::optional<std::string_view> found;
    for (std::string_view uri : leaf.uris) {
        if (!uri.starts_with(wireguard_uri_prefix)) continue;
        if (found)
            return fail(ErrorCode::Untrusted,
                        "the gateway's certificate names more than one WireGuard key");
        found = uri.substr(wireguard_uri_prefix.size());
    }
    if (!found)
        return fail(ErrorCode::Untrusted, "the gateway's certificate names no WireGuard key");
    auto key = PublicKey::from_base64url(*found);
    if (!key)
        return fail(ErrorCode::Untrusted,
                    "the gateway's certificate names a WireGuard key that is none: " +
                        printable(*found, 60));
    return *key;
}

Result<PublicKey> check_leaf(const LeafFacts& leaf, std::string_view gateway_name) {
    TRY(check_usage(leaf));
    TRY(check_name(leaf, gateway_name));
    return wireguard_key_of(leaf);
}

}  // namespace fortros
