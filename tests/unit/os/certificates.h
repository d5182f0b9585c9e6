// Certificates for tests, good and bad ones, made on the spot with fresh keys. By OpenSSL: the nodes'
// mbedTLS is built without what they never do, like signing certificates with keys they refuse.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "core/crypto.h"
#include "gateway/openssl.h"

namespace fortros {

struct TestKey {
    // An elliptic curve, or "RSA".
    explicit TestKey(const char* kind = "P-256");

    // Of a key on P-256.
    crypto::PointP256 point() const;

    gateway::OpenSsl<EVP_PKEY> pkey;
};

// DER content octets of extended key usages.
inline constexpr std::string_view server_auth_oid{"\x2b\x06\x01\x05\x05\x07\x03\x01", 8};
inline constexpr std::string_view client_auth_oid{"\x2b\x06\x01\x05\x05\x07\x03\x02", 8};
inline constexpr std::string_view any_usage_oid{"\x55\x1d\x25\x00", 4};

// The tests' own "now", and a life around it.
inline constexpr WallTime test_now{1'800'000'000s};

struct CertificateSpec {
    std::string subject = "CN=leaf";  // a common name and nothing else
    bool is_ca = false;
    bool has_basic_constraints = true;
    unsigned key_usage = 0;  // MBEDTLS_X509_KU_*, 0: no such extension
    std::vector<std::string_view> extended_usage{};
    std::vector<std::string> dns_names{};
    std::vector<std::string> uris{};
    bool other_name = false;  // a kind of name that mbedTLS does not read
    WallTime not_before = test_now - std::chrono::days{1};
    WallTime not_after = test_now + std::chrono::days{30};
    const char* hash = "SHA256";
};

// DER of a certificate for `key`, signed by `issuer_key` in the name of `issuer`.
Bytes make_certificate(const CertificateSpec& spec, const TestKey& key, const std::string& issuer,
                       const TestKey& issuer_key);

// An org's CA: its key and its own certificate.
struct TestAuthority {
    explicit TestAuthority(std::string name = "CN=Test Org CA", CertificateSpec spec = {},
                           const char* kind = "P-256");
    Bytes issue(const CertificateSpec& spec, const TestKey& key) const {
        return make_certificate(spec, key, name, this->key);
    }

    std::string name;
    TestKey key;
    Bytes certificate;
};

std::string to_pem(ByteView certificate_der);

}  // namespace fortros
