#include "os/certificate.h"

#include <doctest/doctest.h>
#include <mbedtls/platform_util.h>

#include <ctime>

#include "core/crypto.h"
#include "unit/os/certificates.h"

using namespace fortros;

namespace {

constexpr auto a_day = std::chrono::days{1};

struct Life {
    WallTime begin;
    WallTime end;
};

// A CA, an intermediate below it and a leaf, each with its own life; why the chain is refused then.
class Chain {
public:
    Chain(Life root, Life intermediate, Life leaf) {
        REQUIRE(crypto::initialise().has_value());
        const TestAuthority ca("CN=CA", {.not_before = root.begin, .not_after = root.end});
        const TestKey middle_key, leaf_key;
        const auto middle = ca.issue({.subject = "CN=Middle",
                                      .is_ca = true,
                                      .key_usage = MBEDTLS_X509_KU_KEY_CERT_SIGN,
                                      .not_before = intermediate.begin,
                                      .not_after = intermediate.end},
                                     middle_key);
        const auto end = make_certificate({.not_before = leaf.begin, .not_after = leaf.end},
                                          leaf_key, "CN=Middle", middle_key);
        mbedtls_x509_crt_init(&m_anchor);
        mbedtls_x509_crt_init(&m_chain);
        REQUIRE(mbedtls_x509_crt_parse_der(&m_anchor, ca.certificate.data(),
                                           ca.certificate.size()) == 0);
        REQUIRE(mbedtls_x509_crt_parse_der(&m_chain, end.data(), end.size()) == 0);
        REQUIRE(mbedtls_x509_crt_parse_der(&m_chain, middle.data(), middle.size()) == 0);
    }
    Chain(const Chain&) = delete;
    Chain& operator=(const Chain&) = delete;
    ~Chain() {
        mbedtls_x509_crt_free(&m_chain);
        mbedtls_x509_crt_free(&m_anchor);
    }

    std::string refusal(CertificateTime time) {
        ChainJudge judge(time);
        std::uint32_t flags = 0;
        const int error =
            mbedtls_x509_crt_verify_with_profile(&m_chain, &m_anchor, nullptr, &certificate_profile,
                                                 nullptr, &flags, ChainJudge::callback, &judge);
        seen = judge.leaf();
        return error == 0 ? "" : judge.refusal(flags, "the certificate").text();
    }

    LeafFacts seen;

private:
    mbedtls_x509_crt m_anchor;
    mbedtls_x509_crt m_chain;
};

// An org that is a year old, and was issued a leaf two days ago.
constexpr Life years{test_now - 365 * a_day, test_now + 9 * 365 * a_day};
constexpr Life leaf_life{test_now - 2 * a_day, test_now + 88 * a_day};

CertificateTime earliest(WallTime floor) { return CertificateTime::no_earlier_than(floor); }

}  // namespace

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

// Nodes with an empty battery would wait until their image is as old as the gateway's certificate.
TEST_CASE("certificate: without a trusted clock a chain that began after the floor is good") {
    Chain chain(years, years, leaf_life);
    CHECK(chain.refusal(test_now).empty());
    CHECK(chain.refusal(earliest(years.begin)).empty());
    CHECK(chain.refusal(earliest(WallTime{})).empty());
    CHECK(chain.refusal(earliest(test_now)).empty());
    CHECK(chain.seen.newest_not_before == leaf_life.begin);
    CHECK(chain.seen.earliest_not_after == leaf_life.end);
    CHECK(chain.refusal(leaf_life.begin - 1s).contains("is not valid yet"));
    CHECK(chain.refusal(leaf_life.begin).empty());
}

// A stolen certificate would open every node whose clock can be spoilt, for ever.
TEST_CASE(
    "certificate: one that surely has ended is refused, whatever the clock and whichever it is") {
    const Life over{test_now - 300 * a_day, test_now - 1s};
    const auto says = [](std::string_view whose) {
        return "the certificate" + std::string(whose) +
               " has expired (not after 2027-01-15T07:59:59Z; ";
    };
    Chain leaf(years, years, over);
    CHECK(leaf.refusal(test_now).starts_with(says("") + "the clock says 2027-01-15T08:00:00Z"));
    CHECK(
        leaf.refusal(earliest(test_now)).starts_with(says("") + "whatever the clock says, it is"));
    CHECK(leaf.refusal(earliest(over.end)).empty());
    // The chain itself tells that it is later: its newest part began when another had ended.
    Chain middle(years, over, {test_now, test_now + a_day});
    CHECK(middle.refusal(earliest(WallTime{})).starts_with(says(" comes from 'CN=Middle', which")));
    Chain root({over.begin, over.end}, years, {test_now, test_now + a_day});
    CHECK(root.refusal(earliest(WallTime{})).starts_with(says(" comes from 'CN=CA', which")));
    CHECK(root.refusal(test_now).starts_with(says(" comes from 'CN=CA', which")));
}

// Who mends the leaf would find out only then that the CA has ended, too.
TEST_CASE("certificate: of several that have ended the one nearest to the leaf is named") {
    const Life over{test_now - 300 * a_day, test_now - 1s};
    CHECK(Chain(over, over, leaf_life).refusal(test_now).contains("'CN=Middle'"));
    CHECK_FALSE(Chain(over, over, over).refusal(test_now).contains("comes from"));
}
