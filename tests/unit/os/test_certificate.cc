#include "os/certificate.h"

#include <doctest/doctest.h>
#include <mbedtls/platform_util.h>

#include <ctime>

#include "unit/os/certificates.h"

using namespace fortros;

// mbedTLS would take a certificate that has run out for one that has not.
TEST_CASE("certificate: mbedTLS is told the time as the C library tells it") {
    for (const std::time_t moment : {0L, 59L, 951'782'400L, 951'868'799L, 1'709'164'800L,
                                     1'798'761'599L, 1'798'761'600L, 4'107'542'399L}) {
        std::tm told{}, right{};
        REQUIRE(mbedtls_platform_gmtime_r(&moment, &told) == &told);
        ::gmtime_r(&moment, &right);
        CHECK(told.tm_year == right.tm_year);
        CHECK(told.tm_mon == right.tm_mon);
        CHECK(told.tm_mday == right.tm_mday);
        CHECK(told.tm_hour == right.tm_hour);
        CHECK(told.tm_min == right.tm_min);
        CHECK(told.tm_sec == right.tm_sec);
    }
}

// A gateway would be told that it is a CA, or a CA pass for a gateway.
TEST_CASE("certificate: whether it is a CA is said by basicConstraints alone") {
    TestAuthority authority;
    TestKey key;
    const auto is_ca = [&](const CertificateSpec& spec) {
        const Bytes der = authority.issue(spec, key);
        mbedtls_x509_crt certificate;
        mbedtls_x509_crt_init(&certificate);
        REQUIRE(mbedtls_x509_crt_parse_der(&certificate, der.data(), der.size()) == 0);
        const bool told = facts_of(certificate).is_ca;
        mbedtls_x509_crt_free(&certificate);
        return told;
    };
    CHECK(is_ca({.is_ca = true}));
    CHECK(!is_ca({.is_ca = false}));
    CHECK(!is_ca({.has_basic_constraints = false}));
}
