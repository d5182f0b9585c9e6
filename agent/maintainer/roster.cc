#include "maintainer/roster.h"

#include <algorithm>

namespace fortros {

// --- the org ------------------------------------------------------------------------------------

Status Roster::take_org(const std::vector<Bytes>& certificates, ByteView document, WallTime now) {
    std::vector<Signer> signers;
    std::vector<Bytes> theirs;
    for (const auto& certificate : certificates) {
        const Signer signer = TRY(m_verifier.verify(certificate, now));
        if (signer.not_before < m_floor.signers_since) continue;
        signers.push_back(signer);
        theirs.push_back(certificate);
    }
    if (signers.empty() && !certificates.empty())
        return fail(ErrorCode::Untrusted, "the organisation has disowned this signer");
    std::optional<OrgDocument> fresh;
    if (!document.empty()) {
        fresh = TRY(check_org_document(document, signers, now));
        if (fresh->prefix != m_prefix)
            return fail(ErrorCode::Untrusted, "the org document is for another overlay prefix",
                        fresh->prefix.text());
        if (fresh->serial < m_floor.serial)
            return fail(ErrorCode::Untrusted, "the org document is older than the one known",
                        std::to_string(fresh->serial) + " after " + std::to_string(m_floor.serial));
    }
    for (std::size_t i = 0; i < signers.size(); ++i) {
        if (std::ranges::contains(m_signers, signers[i].id, &Signer::id)) continue;
        if (m_signers.size() == signers_limit) {
            m_signers.erase(m_signers.begin());
            m_certificates.erase(m_certificates.begin());
        }
        m_signers.push_back(signers[i]);
        m_certificates.push_back(theirs[i]);
    }
    if (!fresh) return {};
    m_document = std::move(*fresh);
    m_floor.rise(*m_document);
    m_document_bytes.assign(document.begin(), document.end());
    obey_document();
    return {};
}

// Whom it revokes, and whomever nobody but a disowned signer has vouched for.
void Roster::obey_document() {
    for (std::size_t i = m_signers.size(); i-- > 0;)
        if (m_signers[i].not_before < m_floor.signers_since) {
            m_signers.erase(m_signers.begin() + static_cast<std::ptrdiff_t>(i));
            m_certificates.erase(m_certificates.begin() + static_cast<std::ptrdiff_t>(i));
        }
    std::vector<PublicKey> gone;
    for (const mesh::Member* member : m_members.all()) {
        const auto attestation = parse_attestation(member->attestation);
        const bool is_vouched_for =
            !attestation || std::ranges::contains(m_signers, attestation->signer, &Signer::id);
        if (!is_vouched_for || revokes(*m_document, member->key)) gone.push_back(member->key);
    }
    for (const PublicKey& key : gone) m_members.remove(key);
}

// --- members ------------------------------------------------------------------------------------

void Roster::take_remembered(const std::vector<MeshPeer>& peers, WallTime not_after) {
    for (const MeshPeer& peer : peers)
        m_members.put({.key = peer.key,
                       .address = peer.overlay_address,
                       .role = peer.role,
                       .not_after = not_after,
                       .endpoints = peer.endpoints});
}

void Roster::claim(MemberNews news) {
    if (news.peer.key == m_self) return;
    if (m_named) m_named->insert(news.peer.key);
    const PublicKey key = news.peer.key;
    const auto [found, is_new] = m_claims.insert_or_assign(key, std::move(news));
    if (!is_new) return;
    if (m_order.size() == roster_claims_limit) {
        m_claims.erase(m_order.front());
        m_order.pop_front();
    }
    m_order.push_back(key);
}

Status Roster::admit(const MemberNews& news, WallTime now) {
    const MeshPeer& peer = news.peer;
    if (peer.key == m_self) return {};
    if (!m_document) return fail(ErrorCode::Untrusted, "there is no org document yet");
    // What is known already need not be checked again.
    const mesh::Member* known = m_members.find(peer.key);
    const bool is_known = known && known->attestation == peer.attestation &&
                          known->endpoints == peer.endpoints && known->hostname == news.hostname;
    if (is_known) return {};
    TRY(check_mesh_peer(peer, {m_signers, *m_document}, now));
    const auto attestation = TRY(parse_attestation(peer.attestation));
    m_members.put({.key = peer.key,
                   .address = peer.overlay_address,
                   .role = peer.role,
                   .serial = attestation.serial,
                   .not_after = attestation.not_after,
                   .hostname = news.hostname,
                   .endpoints = peer.endpoints,
                   .attestation = peer.attestation});
    return {};
}

Result<Attestation> Roster::check_own(ByteView attestation, WallTime now) const {
    const auto own = TRY(check_attestation(attestation, m_signers, m_prefix, now));
    if (own.node != m_self)
        return fail(ErrorCode::Untrusted, "this node's attestation is for another key");
    return own;
}

std::size_t Roster::check_some(std::size_t count, WallTime now) {
    std::size_t refused = 0;
    for (; count > 0 && !m_order.empty(); --count) {
        const auto claim = m_claims.extract(m_order.front());
        m_order.pop_front();
        if (claim.empty()) continue;
        if (Status status = admit(claim.mapped(), now); !status) {
            m_last_refusal = status.error().text();
            ++refused;
        }
    }
    m_refused += refused;
    return refused;
}

void Roster::remove(const PublicKey& member) {
    m_claims.erase(member);
    m_members.remove(member);
}

void Roster::keep_only(Role role, const std::set<PublicKey>& keys) {
    std::vector<PublicKey> gone;
    for (const mesh::Member* member : m_members.all())
        if (member->role == role && !keys.contains(member->key)) gone.push_back(member->key);
    for (const PublicKey& key : gone) remove(key);
}

void Roster::begin_anew() { m_named.emplace(); }

void Roster::end_anew() {
    if (!m_named) return;
    std::vector<PublicKey> gone;
    for (const mesh::Member* member : m_members.all())
        // Gateways have a list of their own.
        if (member->role != Role::Gateway && !m_named->contains(member->key))
            gone.push_back(member->key);
    for (const PublicKey& key : gone) remove(key);
    m_named.reset();
}

void Roster::remove_expired(WallTime now, const std::set<PublicKey>& linked) {
    std::vector<PublicKey> gone;
    for (const mesh::Member* member : m_members.all())
        if (member->not_after < now && !linked.contains(member->key)) gone.push_back(member->key);
    for (const PublicKey& key : gone) m_members.remove(key);
}

}  // namespace fortros
