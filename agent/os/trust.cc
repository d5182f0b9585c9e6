#include "os/trust.h"

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "os/certificate.h"
#include "os/files.h"

namespace fortros {

static constexpr std::string_view pem_begin = "-----BEGIN CERTIFICATE-----";
static constexpr std::string_view pem_end = "-----END CERTIFICATE-----";
static constexpr std::size_t signer_size_limit = 4096;

void TrustAnchors::Free::operator()(mbedtls_x509_crt* chain) const {
    mbedtls_x509_crt_free(chain);
    delete chain;
}

static mbedtls_x509_crt* new_chain() {
    auto* chain = new mbedtls_x509_crt;
    mbedtls_x509_crt_init(chain);
    return chain;
}

TrustAnchors::TrustAnchors(Chain chain) : m_chain(std::move(chain)) {
    for (const mbedtls_x509_crt* anchor = m_chain.get(); anchor; anchor = anchor->next) {
        const WallTime begin = wall_time_of(anchor->valid_from);
        const WallTime end = wall_time_of(anchor->valid_to);
        m_newest_not_before = m_count == 0 ? begin : std::max(m_newest_not_before, begin);
        m_latest_not_after = m_count == 0 ? end : std::max(m_latest_not_after, end);
        ++m_count;
    }
}

TrustAnchors::~TrustAnchors() = default;

// The certificates of a PEM text, each with its BEGIN and END line. What stands between them is
// comment.
static std::vector<std::string_view> certificates_of(std::string_view pem) {
    std::vector<std::string_view> found;
    while (true) {
        auto begin = pem.find(pem_begin);
        if (begin == std::string_view::npos) return found;
        auto end = pem.find(pem_end, begin);
        auto size =
            end == std::string_view::npos ? pem.size() - begin : end - begin + pem_end.size();
        found.push_back(pem.substr(begin, size));
        pem.remove_prefix(begin + size);
    }
}

static Status check_anchor(const mbedtls_x509_crt& anchor, const std::string& where) {
    auto bad = [&](std::string_view why) {
        return fail(ErrorCode::InvalidData,
                    where + " ('" + text_of(anchor.subject) + "') " + std::string(why));
    };
    // Negative without basicConstraints.
    if (mbedtls_x509_crt_get_ca_istrue(&anchor) != 1) return bad("is not a CA certificate");
    if (mbedtls_x509_crt_check_key_usage(&anchor, MBEDTLS_X509_KU_KEY_CERT_SIGN) != 0)
        return bad("may not sign certificates (key usage)");
    if (auto curve = curve_of(anchor);
        curve != MBEDTLS_ECP_DP_SECP256R1 && curve != MBEDTLS_ECP_DP_SECP384R1)
        return bad(not_accepted_words);
    return {};
}

Result<std::unique_ptr<TrustAnchors>> TrustAnchors::parse(std::string_view pem,
                                                          const std::string& file) {
    auto bad = [&](std::string_view why) {
        return fail(ErrorCode::InvalidData, "'" + file + "' " + std::string(why));
    };
    // A CA's key in an image would make everyone who has the image the organisation.
    if (pem.find("PRIVATE KEY-----") != std::string_view::npos)
        return bad("holds a private key, which must never be in an image");
    const auto certificates = certificates_of(pem);
    if (certificates.empty()) return bad("holds no certificate in PEM form");
    std::vector<std::string> texts(certificates.begin(), certificates.end());
    std::vector<ByteView> views;
    // mbedTLS wants the NUL counted.
    for (const auto& text : texts) views.push_back({as_bytes(text).data(), text.size() + 1});
    return make(views, file);
}

Result<std::unique_ptr<TrustAnchors>> TrustAnchors::of(const std::vector<Bytes>& certificates) {
    static const std::string where = "the hand-off";
    if (certificates.empty())
        return fail(ErrorCode::InvalidData, "'" + where + "' holds no CA certificate");
    return make({certificates.begin(), certificates.end()}, where);
}

// Each in PEM form with its NUL, or in DER.
Result<std::unique_ptr<TrustAnchors>> TrustAnchors::make(const std::vector<ByteView>& certificates,
                                                         const std::string& file) {
    if (certificates.size() > count_limit)
        return fail(ErrorCode::InvalidData,
                    "'" + file + "' holds " + std::to_string(certificates.size()) +
                        " certificates; at most " + std::to_string(count_limit) + " can be pinned");
    Chain chain(new_chain());
    const mbedtls_x509_crt* last = nullptr;
    for (std::size_t i = 0; i < certificates.size(); ++i) {
        const std::string where = "certificate " + std::to_string(i + 1) + " in '" + file + "'";
        const int error =
            mbedtls_x509_crt_parse(chain.get(), certificates[i].data(), certificates[i].size());
        if (is_of_unknown_kind(error))
            return fail(ErrorCode::InvalidData, where + " " + std::string(not_accepted_words));
        if (error != 0)
            return fail(ErrorCode::InvalidData, where + " is damaged",
                        "mbedTLS error " + std::to_string(error));
        last = last ? last->next : chain.get();
        TRY(check_anchor(*last, where));
    }
    return std::unique_ptr<TrustAnchors>(new TrustAnchors(std::move(chain)));
}

std::vector<Bytes> TrustAnchors::certificates() const {
    std::vector<Bytes> all;
    for (const mbedtls_x509_crt* anchor = m_chain.get(); anchor; anchor = anchor->next)
        all.emplace_back(anchor->raw.p, anchor->raw.p + anchor->raw.len);
    return all;
}

Result<std::unique_ptr<TrustAnchors>> TrustAnchors::load(const std::string& path) {
    return parse(TRY(read_file(path, file_limit)), path);
}

// --- signers of attestations ---

static bool has_only_signer_usage(const mbedtls_x509_crt& certificate) {
    const auto& usage = certificate.ext_key_usage;
    return usage.buf.p && !usage.next &&
           std::ranges::equal(ByteView(usage.buf.p, usage.buf.len), signer_usage_oid_der);
}

static Status check_signer(const mbedtls_x509_crt& certificate, const LeafFacts& facts) {
    auto bad = [](std::string_view why) {
        return fail(ErrorCode::Untrusted, "the signer's certificate " + std::string(why));
    };
    if (facts.is_ca) return bad("is a CA certificate");
    if (!has_only_signer_usage(certificate))
        return bad("is not made for signing attestations, or not for that alone");
    if (!facts.dns_names.empty())
        return bad("has a DNS name, with which it could pose as a server");
    if (mbedtls_x509_crt_check_key_usage(&certificate, MBEDTLS_X509_KU_DIGITAL_SIGNATURE) != 0)
        return bad("may not sign (key usage)");
    if (curve_of(certificate) != MBEDTLS_ECP_DP_SECP256R1)
        return bad("has a key that is not P-256");
    return {};
}

Result<Signer> TrustAnchors::verify(ByteView certificate_der, WallTime now) const {
    if (certificate_der.size() > signer_size_limit)
        return fail(ErrorCode::Untrusted, "the signer's certificate is too large");
    Chain certificate(new_chain());
    const int parsed = mbedtls_x509_crt_parse_der(certificate.get(), certificate_der.data(),
                                                  certificate_der.size());
    if (is_of_unknown_kind(parsed))
        return fail(ErrorCode::Untrusted,
                    "the signer's certificate " + std::string(not_accepted_words));
    // One certificate and nothing behind it, or the same signer would have many ids.
    if (parsed != 0 || certificate->raw.len != certificate_der.size())
        return fail(ErrorCode::Untrusted, "the signer's certificate cannot be read",
                    "mbedTLS error " + std::to_string(parsed));

    ChainJudge judge(now);
    std::uint32_t flags = 0;
    const int verified = mbedtls_x509_crt_verify_with_profile(
        certificate.get(), m_chain.get(), nullptr, &certificate_profile, nullptr, &flags,
        ChainJudge::callback, &judge);
    if (verified != 0) return std::unexpected(judge.refusal(flags, "the signer's certificate"));
    TRY(check_signer(*certificate, judge.leaf()));

    Signer signer{.id = signer_id_of(certificate_der),
                  .not_before = wall_time_of(certificate->valid_from),
                  .not_after = wall_time_of(certificate->valid_to)};
    std::size_t size = 0;
    const int written =
        mbedtls_ecp_write_public_key(mbedtls_pk_ec(certificate->pk), MBEDTLS_ECP_PF_UNCOMPRESSED,
                                     &size, signer.key.data(), signer.key.size());
    if (written != 0 || size != signer.key.size())
        return fail(ErrorCode::Internal, "cannot take the key out of a signer's certificate");
    return signer;
}

}  // namespace fortros
