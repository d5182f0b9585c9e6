// Who is a member, by the org's own word: every claim is checked before it counts, the org document's
// serial only grows, and whom it revokes is out at once. It hears nothing and reads no clock. Silence
// never removes a member; expiry does, where there is no link.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "core/feed.h"
#include "core/membership.h"
#include "mesh/members.h"

namespace fortros {

// Claims that wait to be checked; the oldest of the others go first.
inline constexpr std::size_t roster_claims_limit = 200'000;

class Roster {
public:
    // `verifier` must outlive it. `floor` is of the documents that were seen before.
    Roster(const OrgPrefix& prefix, const PublicKey& self, const SignerVerifier& verifier,
           const OrgFloor& floor = {})
        : m_prefix(prefix), m_self(self), m_verifier(verifier), m_floor(floor) {}

    // What the org says of itself. An empty document leaves the one that is known; one that is older is
    // not taken, and its signers neither. Untrusted where it does not check; then nothing has changed.
    Status take_org(const std::vector<Bytes>& signers, ByteView document, WallTime now);

    // Whom a bootstrap set that somebody else has checked names: peers without attestation. A claim
    // that checks takes their place.
    void take_remembered(const std::vector<MeshPeer>& peers, WallTime not_after);

    // To be checked by check_some().
    void claim(MemberNews news);
    // Checks it at once: for who is a peer already. Untrusted, and nothing has changed.
    Status admit(const MemberNews& news, WallTime now);
    // This node's own attestation. Untrusted where it does not check.
    Result<Attestation> check_own(ByteView attestation, WallTime now) const;
    // A claim that waits as long as anything waits.
    bool has_claims() const { return !m_claims.empty(); }
    std::size_t claims() const { return m_claims.size(); }
    // So many claims at most, for each is a signature. Returns how many of them were no good.
    std::size_t check_some(std::size_t count, WallTime now);

    void remove(const PublicKey& member);
    // Those that have that role and are not in `keys`.
    void keep_only(Role role, const std::set<PublicKey>& keys);
    // All is said anew: who has not been claimed again until end_anew() is removed then.
    void begin_anew();
    void end_anew();
    // Whose attestation has ended, but for `linked`.
    void remove_expired(WallTime now, const std::set<PublicKey>& linked);

    const mesh::Members& members() const { return m_members; }
    const std::optional<OrgDocument>& document() const { return m_document; }
    const Bytes& document_bytes() const { return m_document_bytes; }
    const std::vector<Bytes>& signer_certificates() const { return m_certificates; }
    const OrgFloor& floor() const { return m_floor; }
    std::uint64_t document_serial() const { return m_document ? m_document->serial : 0; }
    // Whether the document revokes this very node.
    bool is_revoked() const { return m_document && revokes(*m_document, m_self); }
    // Why the last claim that was refused was.
    const std::string& last_refusal() const { return m_last_refusal; }
    std::size_t refused() const { return m_refused; }

private:
    void obey_document();

    OrgPrefix m_prefix;
    PublicKey m_self;
    const SignerVerifier& m_verifier;
    OrgFloor m_floor;
    std::vector<Signer> m_signers;
    std::vector<Bytes> m_certificates;  // of m_signers, in the same order
    std::optional<OrgDocument> m_document;
    Bytes m_document_bytes;
    mesh::Members m_members;
    std::deque<PublicKey> m_order;  // of the claims
    std::map<PublicKey, MemberNews> m_claims;
    std::optional<std::set<PublicKey>> m_named{};  // since begin_anew()
    std::string m_last_refusal;
    std::size_t m_refused = 0;
};

}  // namespace fortros
