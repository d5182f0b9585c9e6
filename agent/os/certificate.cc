#include "os/certificate.h"

#include <mbedtls/oid.h>
#include <mbedtls/platform_util.h>

#include <algorithm>
#include <ctime>

#include "base/text.h"

namespace fortros {

static constexpr std::uint32_t date_flags =
    MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE;

const mbedtls_x509_crt_profile certificate_profile = {
    .allowed_mds = MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA256) |
                   MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA384) |
                   MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA512),
    .allowed_pks = MBEDTLS_X509_ID_FLAG(MBEDTLS_PK_ECKEY) | MBEDTLS_X509_ID_FLAG(MBEDTLS_PK_ECDSA),
    .allowed_curves = MBEDTLS_X509_ID_FLAG(MBEDTLS_ECP_DP_SECP256R1) |
                      MBEDTLS_X509_ID_FLAG(MBEDTLS_ECP_DP_SECP384R1),
    .rsa_min_bitlen = 0,
};

WallTime wall_time_of(const mbedtls_x509_time& time) {
    using namespace std::chrono;
    const year_month_day date{year{time.year}, month{static_cast<unsigned>(time.mon)},
                              day{static_cast<unsigned>(time.day)}};
    return sys_days{date} + hours{time.hour} + minutes{time.min} + seconds{time.sec};
}

// What mbedTLS asks for (MBEDTLS_PLATFORM_GMTIME_R_ALT): the C library's gmtime_r() brings its time
// zones and sscanf(), 100 KB, into a static program.
extern "C" tm* mbedtls_platform_gmtime_r(const mbedtls_time_t* time, tm* out) {
    using namespace std::chrono;
    const sys_seconds moment{seconds{*time}};
    const auto day = floor<days>(moment);
    const year_month_day date{day};
    const hh_mm_ss clock{moment - day};
    *out = {};
    out->tm_year = static_cast<int>(date.year()) - 1900;
    out->tm_mon = static_cast<int>(static_cast<unsigned>(date.month())) - 1;
    out->tm_mday = static_cast<int>(static_cast<unsigned>(date.day()));
    out->tm_hour = static_cast<int>(clock.hours().count());
    out->tm_min = static_cast<int>(clock.minutes().count());
    out->tm_sec = static_cast<int>(clock.seconds().count());
    return out;
}

mbedtls_ecp_group_id curve_of(const mbedtls_x509_crt& certificate) {
    const mbedtls_ecp_keypair* key = mbedtls_pk_ec(certificate.pk);
    return key ? mbedtls_ecp_keypair_get_group_id(key) : MBEDTLS_ECP_DP_NONE;
}

bool is_of_unknown_kind(int parse_error) {
    // The low seven bits tell which part of the library found it (mbedtls/error.h).
    switch (-(-parse_error & ~0x7f)) {
        case MBEDTLS_ERR_X509_UNKNOWN_SIG_ALG:
        case MBEDTLS_ERR_PK_UNKNOWN_PK_ALG:
        case MBEDTLS_ERR_PK_UNKNOWN_NAMED_CURVE: return true;
        default: return false;
    }
}

std::string text_of(const mbedtls_x509_name& name) {
    char text[256];
    const int size = mbedtls_x509_dn_gets(text, sizeof text, &name);
    return size > 0 ? printable({text, static_cast<std::size_t>(size)}) : "a name of no use";
}

static std::string_view text_of(const mbedtls_x509_buf& buffer) {
    return {reinterpret_cast<const char*>(buffer.p), buffer.len};
}

static void read_names(const mbedtls_x509_crt& leaf, LeafFacts& facts) {
    // The first entry lies in the certificate itself, and is empty where there is no extension.
    for (auto entry = &leaf.subject_alt_names; entry && entry->buf.p; entry = entry->next) {
        mbedtls_x509_subject_alternative_name name{};
        // Kinds of names that mbedTLS does not read are none that we look for.
        if (mbedtls_x509_parse_subject_alt_name(&entry->buf, &name) != 0) continue;
        if (name.type == MBEDTLS_X509_SAN_DNS_NAME)
            facts.dns_names.emplace_back(text_of(name.san.unstructured_name));
        else if (name.type == MBEDTLS_X509_SAN_UNIFORM_RESOURCE_IDENTIFIER)
            facts.uris.emplace_back(text_of(name.san.unstructured_name));
        mbedtls_x509_free_subject_alt_name(&name);
    }
}

static void read_usage(const mbedtls_x509_crt& leaf, LeafFacts& facts) {
    constexpr std::string_view server_auth{MBEDTLS_OID_SERVER_AUTH,
                                           MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH)};
    constexpr std::string_view any{MBEDTLS_OID_ANY_EXTENDED_KEY_USAGE,
                                   MBEDTLS_OID_SIZE(MBEDTLS_OID_ANY_EXTENDED_KEY_USAGE)};
    facts.has_extended_key_usage =
        mbedtls_x509_crt_has_ext_type(&leaf, MBEDTLS_X509_EXT_EXTENDED_KEY_USAGE) != 0;
    for (auto entry = &leaf.ext_key_usage; entry && entry->buf.p; entry = entry->next) {
        facts.has_server_auth |= text_of(entry->buf) == server_auth;
        facts.has_any_usage |= text_of(entry->buf) == any;
    }
}

LeafFacts facts_of(const mbedtls_x509_crt& leaf) {
    LeafFacts facts;
    // Negative without basicConstraints: an end entity (RFC 5280 section 4.2.1.9).
    facts.is_ca = mbedtls_x509_crt_get_ca_istrue(&leaf) == 1;
    facts.newest_not_before = wall_time_of(leaf.valid_from);
    facts.earliest_not_after = wall_time_of(leaf.valid_to);
    read_usage(leaf, facts);
    read_names(leaf, facts);
    return facts;
}

int ChainJudge::callback(void* judge, mbedtls_x509_crt* certificate, int depth,
                         std::uint32_t* flags) {
    static_cast<ChainJudge*>(judge)->look_at(*certificate, depth, *flags);
    return 0;
}

void ChainJudge::look_at(const mbedtls_x509_crt& certificate, int depth, std::uint32_t& flags) {
    flags &= ~date_flags;
    if ((flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) != 0) m_issuer = text_of(certificate.issuer);
    m_chain.push_back({wall_time_of(certificate.valid_from), wall_time_of(certificate.valid_to),
                       text_of(certificate.subject)});
    if (depth > 0) return;

    // The leaf comes last: only now is it known when the whole chain has begun.
    m_leaf = facts_of(certificate);
    m_leaf.newest_not_before = std::ranges::max(m_chain, {}, &Seen::not_before).not_before;
    m_leaf.earliest_not_after = std::ranges::min(m_chain, {}, &Seen::not_after).not_after;
    m_has_seen_leaf = true;
    const WallTime now = m_time.of_chain(m_leaf.newest_not_before);
    for (const auto& seen : m_chain) flags |= judge_dates(seen, now, &seen == &m_chain.back());
}

std::uint32_t ChainJudge::judge_dates(const Seen& certificate, WallTime now, bool is_leaf) {
    const bool has_expired = now > certificate.not_after;
    if (!has_expired && now >= certificate.not_before) return 0;
    // Above the leaf it is a CA that ran out, which asks for another remedy.
    m_date_problem = is_leaf ? "" : " comes from '" + certificate.subject + "', which";
    if (has_expired)
        m_date_problem += " has expired (not after " + to_rfc3339(certificate.not_after);
    else
        m_date_problem += " is not valid yet (not before " + to_rfc3339(certificate.not_before);
    m_date_problem += m_time.is_exact()
                          ? "; the clock says " + to_rfc3339(now) + ")"
                          : "; whatever the clock says, it is " + to_rfc3339(now) + " or later)";
    return has_expired ? MBEDTLS_X509_BADCERT_EXPIRED : MBEDTLS_X509_BADCERT_FUTURE;
}

// The worst first: of a certificate that nobody trusted vouches for, nothing else counts.
Error ChainJudge::refusal(std::uint32_t flags, std::string_view whose) const {
    constexpr std::uint32_t weak_flags =
        MBEDTLS_X509_BADCERT_BAD_MD | MBEDTLS_X509_BADCERT_BAD_PK | MBEDTLS_X509_BADCERT_BAD_KEY;
    constexpr std::uint32_t usage_flags = MBEDTLS_X509_BADCERT_KEY_USAGE |
                                          MBEDTLS_X509_BADCERT_EXT_KEY_USAGE |
                                          MBEDTLS_X509_BADCERT_NS_CERT_TYPE;
    std::string what(whose);
    if ((flags & MBEDTLS_X509_BADCERT_MISSING) != 0)
        what += " is missing";
    else if ((flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) != 0)
        what += " is not signed by the pinned organisation CA (it names '" + m_issuer + "')";
    else if ((flags & weak_flags) != 0)
        what += " " + std::string(not_accepted_words);
    else if ((flags & date_flags) != 0)
        what += m_date_problem;
    else if ((flags & MBEDTLS_X509_BADCERT_CN_MISMATCH) != 0)
        what += " is for other names";
    else if ((flags & usage_flags) != 0)
        what += " is not meant for this use (key usage)";
    else
        what += " is not acceptable (mbedTLS flags " + std::to_string(flags) + ")";
    return Error{ErrorCode::Untrusted, std::move(what)};
}

}  // namespace fortros
