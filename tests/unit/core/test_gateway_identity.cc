#include "core/gateway_identity.h"

#include <doctest/doctest.h>

using namespace fortros;

namespace {

constexpr std::string_view name = "gateway.example.org";
const std::string key_text = "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo";  // RFC 7748's Alice
const std::string other_key_text = "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08";

std::string uri(const std::string& key) { return std::string(wireguard_uri_prefix) + key; }

// What certs/ issues.
LeafFacts good_leaf() {
    return {.has_extended_key_usage = true,
            .has_server_auth = true,
            .dns_names = {std::string(name)},
            .uris = {uri(key_text)}};
}

// Whether the leaf is refused as untrusted, in words that hold `reason`.
bool refused(const LeafFacts& leaf, std::string_view reason) {
    auto key = check_leaf(leaf, name);
    if (key) return false;
    CAPTURE(key.error().text());
    CHECK(key.error().code == ErrorCode::Untrusted);
    bool named = key.error().text().find(reason) != std::string::npos;
    CHECK(named);
    return named;
}

}  // namespace

// No node would ever join.
TEST_CASE("gateway identity: the leaf that certs/ issues gives its WireGuard key") {
    auto key = check_leaf(good_leaf(), name);
    REQUIRE(key.has_value());
    CHECK(key->base64url() == key_text);
}

// An org whose tools write capitals could not use its gateway.
TEST_CASE("gateway identity: an upper-case name is the same name") {
    auto leaf = good_leaf();
    leaf.dns_names = {"GateWay.Example.ORG"};
    CHECK(check_leaf(leaf, name).has_value());
    CHECK(check_leaf(good_leaf(), "GATEWAY.example.org").has_value());
}

// A gateway that also answers to an old name, or whose leaf carries other URIs, would be refused.
TEST_CASE("gateway identity: other names and other URIs beside the right ones do no harm") {
    auto leaf = good_leaf();
    leaf.dns_names = {"old.example.org", std::string(name), "*.example.org"};
    leaf.uris = {"https://example.org/", uri(key_text), "urn:fortros:other:x"};
    CHECK(check_leaf(leaf, name).has_value());
}

// Whoever holds any certificate of the org for another host could pose as its gateway.
TEST_CASE("gateway identity: another name is refused and named") {
    auto leaf = good_leaf();
    leaf.dns_names = {"www.example.org", "gateway.example.com"};
    CHECK(refused(leaf, "for other names: www.example.org, gateway.example.com"));
    leaf.dns_names = {"gateway.example.org.evil.net"};
    CHECK(refused(leaf, "other names"));
    leaf.dns_names = {"xgateway.example.org"};
    CHECK(refused(leaf, "other names"));
    leaf.dns_names = {"gateway.example.org."};
    CHECK(refused(leaf, "other names"));
    leaf.dns_names = {std::string("gateway.example.org\0.evil.net", 29)};
    CHECK(refused(leaf, "other names"));
}

// The same, for a certificate made for a whole domain.
TEST_CASE("gateway identity: a wildcard never matches") {
    auto leaf = good_leaf();
    for (const char* wildcard : {"*.example.org", "*", "gateway.*", "g*.example.org"}) {
        leaf.dns_names = {wildcard};
        CHECK(refused(leaf, "other names"));
    }
    leaf.dns_names = {"*.example.org"};
    CHECK_FALSE(check_leaf(leaf, "a.b.example.org").has_value());
}

// mbedTLS takes a URI that spells the host name for the host name.
TEST_CASE("gateway identity: a URI that equals the name is no name") {
    auto leaf = good_leaf();
    leaf.dns_names = {};
    leaf.uris.emplace_back(name);
    CHECK(refused(leaf, "no DNS name"));
}

// A certificate issued for mail or for clients could serve.
TEST_CASE("gateway identity: extended key usage must be there and be for servers") {
    auto leaf = good_leaf();
    leaf.has_extended_key_usage = leaf.has_server_auth = false;
    CHECK(refused(leaf, "no extended key usage"));
    leaf = good_leaf();
    leaf.has_server_auth = false;  // clientAuth only, or a signer's private usage
    CHECK(refused(leaf, "not for servers"));
    leaf = good_leaf();
    leaf.has_any_usage = true;
    CHECK(refused(leaf, "anyExtendedKeyUsage"));
    leaf.has_server_auth = false;
    CHECK(refused(leaf, "anyExtendedKeyUsage"));
}

// A CA's own key, perhaps a retired intermediate's, could serve.
TEST_CASE("gateway identity: a CA certificate is no gateway's") {
    auto leaf = good_leaf();
    leaf.is_ca = true;
    CHECK(refused(leaf, "CA certificate"));
}

// The proof of possession would be made for a key that the org never vouched for.
TEST_CASE("gateway identity: the WireGuard key must be named exactly once") {
    auto leaf = good_leaf();
    leaf.uris = {};
    CHECK(refused(leaf, "names no WireGuard key"));
    leaf.uris = {"https://example.org/"};
    CHECK(refused(leaf, "names no WireGuard key"));
    leaf.uris = {uri(key_text), uri(other_key_text)};
    CHECK(refused(leaf, "more than one WireGuard key"));
    leaf.uris = {uri(key_text), uri(key_text)};
    CHECK(refused(leaf, "more than one WireGuard key"));
    leaf.uris = {uri("garbage"), uri(key_text)};
    CHECK(refused(leaf, "more than one WireGuard key"));
}

// The same key would have two names, or be one that WireGuard never completes a handshake with.
TEST_CASE("gateway identity: a malformed WireGuard key is refused") {
    auto leaf = good_leaf();
    const std::string malformed[] = {
        "",
        "x",
        key_text + "=",
        key_text.substr(1),
        key_text + "A",
        " " + key_text,
        std::string(key_text).replace(42, 1, "p"),      // bits set behind the last byte
        std::string(43, '_'),                           // bit 255 set
        "7f_______________________________________38",  // 2^255 - 19: another name for 0
        "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo",  // base64, not base64url
    };
    for (const auto& text : malformed) {
        CAPTURE(text);
        leaf.uris = {uri(text)};
        CHECK_FALSE(check_leaf(leaf, name).has_value());
    }
    leaf.uris = {"URN:fortros:wireguard:" + key_text};
    CHECK(refused(leaf, "names no WireGuard key"));
}

// An operator's terminal would show what a stranger's certificate wants it to show.
TEST_CASE("gateway identity: names in error messages are printable and bounded") {
    auto leaf = good_leaf();
    leaf.dns_names.assign(50, "evil\x1b[2J" + std::string(1000, 'x'));
    auto key = check_leaf(leaf, name);
    REQUIRE_FALSE(key.has_value());
    CHECK(key.error().text().find('\x1b') == std::string::npos);
    CHECK(key.error().text().size() < 600);
    CHECK(key.error().text().find("and 46 more") != std::string::npos);
}
