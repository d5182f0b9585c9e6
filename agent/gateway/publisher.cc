#include "gateway/publisher.h"

namespace fortros::gateway {

static constexpr std::chrono::hours signing_interval{1};

Result<const PublishedDocument*> Publisher::current(WallTime now) {
    const PolicyRecord policy = TRY(m_registry.policy());
    const bool is_fresh = m_published && m_published->document.serial == policy.serial &&
                          m_published->document.signer == m_signer.facts().id &&
                          m_signed_at <= now && now - m_signed_at < signing_interval;
    if (is_fresh) return &*m_published;
    if (m_signer.facts().not_before < policy.signers_since)
        return fail(ErrorCode::Untrusted,
                    "the organisation has disowned this gateway's signer, of " +
                        to_rfc3339(m_signer.facts().not_before));
    OrgDocument document{
        .prefix = m_prefix,
        .serial = policy.serial,
        .signers_since = policy.signers_since,
        .sources = policy.sources,
        .revocation_number = policy.revocation_number,
        .signer = m_signer.facts().id,
        .domain = m_domain,
        .revoked = TRY(m_registry.revoked(now)),
    };
    Bytes bytes = TRY(sign_org_document(m_signer, document));
    m_published = {std::move(document), std::move(bytes)};
    m_signed_at = now;
    return &*m_published;
}

}  // namespace fortros::gateway
