#include "unit/os/certificates.h"

#include <doctest/doctest.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <bit>

#include "base/encoding.h"
#include "base/text.h"

namespace fortros {

static constexpr std::uint8_t sequence = 0x30;
static constexpr std::uint8_t bit_string = 0x03;
static constexpr std::uint8_t object_identifier = 0x06;

static Bytes der(std::uint8_t tag, ByteView content) {
    Bytes out{tag};
    if (content.size() < 128) {
        out.push_back(static_cast<std::uint8_t>(content.size()));
    } else {
        out.push_back(0x82);
        out.push_back(static_cast<std::uint8_t>(content.size() >> 8));
        out.push_back(static_cast<std::uint8_t>(content.size()));
    }
    out.insert(out.end(), content.begin(), content.end());
    return out;
}

static void append(Bytes& to, const Bytes& what) { to.insert(to.end(), what.begin(), what.end()); }

TestKey::TestKey(const char* kind)
    : pkey(kind == std::string_view("RSA") ? EVP_RSA_gen(2048) : EVP_EC_gen(kind)) {
    REQUIRE(pkey != nullptr);
}

crypto::PointP256 TestKey::point() const {
    crypto::PointP256 point{};
    REQUIRE(i2d_PublicKey(pkey.get(), nullptr) == static_cast<int>(point.size()));
    auto* out = point.data();
    i2d_PublicKey(pkey.get(), &out);
    return point;
}

static void set_name(X509_NAME* name, std::string_view text) {
    REQUIRE(text.starts_with("CN="));
    text.remove_prefix(3);
    REQUIRE(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                       reinterpret_cast<const unsigned char*>(text.data()),
                                       static_cast<int>(text.size()), -1, 0) == 1);
}

static void extend(X509* certificate, int kind, bool critical, const Bytes& value) {
    ASN1_OCTET_STRING* octets = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(octets, value.data(), static_cast<int>(value.size()));
    X509_EXTENSION* extension = X509_EXTENSION_create_by_NID(nullptr, kind, critical, octets);
    REQUIRE(X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(octets);
}

static Bytes names_of(const CertificateSpec& spec) {
    Bytes names;
    if (spec.other_name) append(names, der(0xa0, der(object_identifier, as_bytes(any_usage_oid))));
    for (const auto& name : spec.dns_names) append(names, der(0x82, as_bytes(name)));
    for (const auto& uri : spec.uris) append(names, der(0x86, as_bytes(uri)));
    return names;
}

static void add_extensions(X509* certificate, const CertificateSpec& spec) {
    const Bytes is_ca{0x01, 0x01, 0xff};
    if (spec.has_basic_constraints)
        extend(certificate, NID_basic_constraints, spec.is_ca,
               der(sequence, spec.is_ca ? is_ca : Bytes{}));
    if (spec.key_usage != 0) {
        const auto unused_bits = static_cast<std::uint8_t>(std::countr_zero(spec.key_usage));
        extend(certificate, NID_key_usage, true,
               der(bit_string, Bytes{unused_bits, static_cast<std::uint8_t>(spec.key_usage)}));
    }
    if (!spec.extended_usage.empty()) {
        Bytes usages;
        for (auto usage : spec.extended_usage)
            append(usages, der(object_identifier, as_bytes(usage)));
        extend(certificate, NID_ext_key_usage, false, der(sequence, usages));
    }
    if (Bytes names = names_of(spec); !names.empty())
        extend(certificate, NID_subject_alt_name, false, der(sequence, names));
}

Bytes make_certificate(const CertificateSpec& spec, const TestKey& key, const std::string& issuer,
                       const TestKey& issuer_key) {
    static long serial = 0x100;
    const gateway::OpenSsl<X509> owned(X509_new());
    X509* certificate = owned.get();
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    set_name(X509_get_subject_name(certificate), spec.subject);
    set_name(X509_get_issuer_name(certificate), issuer);
    ASN1_TIME_set(X509_getm_notBefore(certificate), spec.not_before.time_since_epoch().count());
    ASN1_TIME_set(X509_getm_notAfter(certificate), spec.not_after.time_since_epoch().count());
    X509_set_pubkey(certificate, key.pkey.get());
    add_extensions(certificate, spec);
    REQUIRE(X509_sign(certificate, issuer_key.pkey.get(), EVP_get_digestbyname(spec.hash)) > 0);

    Bytes out(static_cast<std::size_t>(i2d_X509(certificate, nullptr)));
    auto* end = out.data();
    i2d_X509(certificate, &end);
    return out;
}

static CertificateSpec authority_spec(CertificateSpec spec, const std::string& name) {
    spec.subject = name;
    spec.is_ca = true;
    if (spec.key_usage == 0) spec.key_usage = KU_KEY_CERT_SIGN;
    return spec;
}

TestAuthority::TestAuthority(std::string name, CertificateSpec spec, const char* kind)
    : name(std::move(name)),
      key(kind),
      certificate(
          make_certificate(authority_spec(std::move(spec), this->name), key, this->name, key)) {}

std::string to_pem(ByteView certificate_der) {
    std::string text = "-----BEGIN CERTIFICATE-----\n";
    const std::string base64 = to_base64(certificate_der);
    for (std::size_t i = 0; i < base64.size(); i += 64) text += base64.substr(i, 64) + "\n";
    return text + "-----END CERTIFICATE-----\n";
}

}  // namespace fortros
