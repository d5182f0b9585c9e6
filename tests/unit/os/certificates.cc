#include "unit/os/certificates.h"

#include <doctest/doctest.h>
#include <mbedtls/oid.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>

extern "C" {  // which this header of mbedTLS 3.6 forgets
#include <mbedtls/psa_util.h>
}

#include "base/encoding.h"
#include "base/text.h"

namespace fortros {

static constexpr std::uint8_t sequence = 0x30;
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

TestKey::TestKey(mbedtls_ecp_group_id curve) {
    REQUIRE(psa_crypto_init() == PSA_SUCCESS);
    mbedtls_pk_init(&pk);
    REQUIRE(mbedtls_pk_setup(&pk, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)) == 0);
    REQUIRE(mbedtls_ecp_gen_key(curve, mbedtls_pk_ec(pk), mbedtls_psa_get_random,
                                MBEDTLS_PSA_RANDOM_STATE) == 0);
}

TestKey::~TestKey() { mbedtls_pk_free(&pk); }

// "20270115080000", as mbedTLS wants it.
static std::string time_text(WallTime time) {
    std::string text;
    for (char c : to_rfc3339(time))
        if (c >= '0' && c <= '9') text += c;
    return text;
}

static Bytes names_of(const CertificateSpec& spec) {
    Bytes names;
    if (spec.other_name) append(names, der(0xa0, der(object_identifier, as_bytes(any_usage_oid))));
    for (const auto& name : spec.dns_names) append(names, der(0x82, as_bytes(name)));
    for (const auto& uri : spec.uris) append(names, der(0x86, as_bytes(uri)));
    return names;
}

Bytes make_certificate(const CertificateSpec& spec, const TestKey& key, const std::string& issuer,
                       const TestKey& issuer_key) {
    static std::uint8_t serial = 0;
    mbedtls_x509write_cert writer;
    mbedtls_x509write_crt_init(&writer);
    ++serial;
    std::uint8_t serial_bytes[] = {1, serial};
    auto* subject_pk = const_cast<mbedtls_pk_context*>(&key.pk);
    auto* issuer_pk = const_cast<mbedtls_pk_context*>(&issuer_key.pk);
    mbedtls_x509write_crt_set_subject_key(&writer, subject_pk);
    mbedtls_x509write_crt_set_issuer_key(&writer, issuer_pk);
    mbedtls_x509write_crt_set_md_alg(&writer, spec.hash);
    REQUIRE(mbedtls_x509write_crt_set_serial_raw(&writer, serial_bytes, 2) == 0);
    REQUIRE(mbedtls_x509write_crt_set_subject_name(&writer, spec.subject.c_str()) == 0);
    REQUIRE(mbedtls_x509write_crt_set_issuer_name(&writer, issuer.c_str()) == 0);
    REQUIRE(mbedtls_x509write_crt_set_validity(&writer, time_text(spec.not_before).c_str(),
                                               time_text(spec.not_after).c_str()) == 0);
    REQUIRE(mbedtls_x509write_crt_set_basic_constraints(&writer, spec.is_ca, -1) == 0);
    if (spec.key_usage != 0)
        REQUIRE(mbedtls_x509write_crt_set_key_usage(&writer, spec.key_usage) == 0);

    auto extend = [&](std::string_view oid, const Bytes& value) {
        REQUIRE(mbedtls_x509write_crt_set_extension(&writer, oid.data(), oid.size(), 0,
                                                    value.data(), value.size()) == 0);
    };
    if (!spec.extended_usage.empty()) {
        Bytes usages;
        for (auto usage : spec.extended_usage)
            append(usages, der(object_identifier, as_bytes(usage)));
        extend({MBEDTLS_OID_EXTENDED_KEY_USAGE, MBEDTLS_OID_SIZE(MBEDTLS_OID_EXTENDED_KEY_USAGE)},
               der(sequence, usages));
    }
    if (Bytes names = names_of(spec); !names.empty())
        extend({MBEDTLS_OID_SUBJECT_ALT_NAME, MBEDTLS_OID_SIZE(MBEDTLS_OID_SUBJECT_ALT_NAME)},
               der(sequence, names));

    Bytes buffer(16384);
    const int size = mbedtls_x509write_crt_der(&writer, buffer.data(), buffer.size(),
                                               mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    mbedtls_x509write_crt_free(&writer);
    REQUIRE(size > 0);
    return {buffer.end() - size, buffer.end()};  // it writes from the end
}

static CertificateSpec authority_spec(CertificateSpec spec, const std::string& name) {
    spec.subject = name;
    spec.is_ca = true;
    if (spec.key_usage == 0) spec.key_usage = MBEDTLS_X509_KU_KEY_CERT_SIGN;
    return spec;
}

TestAuthority::TestAuthority(std::string name, CertificateSpec spec, mbedtls_ecp_group_id curve)
    : name(std::move(name)),
      key(curve),
      certificate(
          make_certificate(authority_spec(std::move(spec), this->name), key, this->name, key)) {}

std::string to_pem(ByteView certificate_der) {
    std::string text = "-----BEGIN CERTIFICATE-----\n";
    const std::string base64 = to_base64(certificate_der);
    for (std::size_t i = 0; i < base64.size(); i += 64) text += base64.substr(i, 64) + "\n";
    return text + "-----END CERTIFICATE-----\n";
}

}  // namespace fortros
