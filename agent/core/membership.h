// Who may be peered with: what the organisation says of itself, verified, and the judgement of a peer
// by it. It is the same wherever peers come from: an answer, or the hand-off.
#pragma once

#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "core/attestation.h"
#include "core/org_document.h"
#include "core/overlay_plan.h"

namespace fortros {

// Verifies a signer certificate (DER) against the pinned org CA at a time: os/trust.h on nodes, a
// twin in tests.
class SignerVerifier {
public:
    SignerVerifier() = default;
    SignerVerifier(const SignerVerifier&) = delete;
    SignerVerifier& operator=(const SignerVerifier&) = delete;
    virtual ~SignerVerifier() = default;

    virtual Result<Signer> verify(ByteView certificate_der, WallTime now) const = 0;
};

struct OrgWord {
    std::vector<Signer> signers;  // those that still count
    OrgDocument document;
};

// Untrusted where a certificate is no signer's, or where no signer has signed the document that
// neither it nor, by `signers_since`, an earlier document disowns. Which prefix and serial are
// expected is the caller's to say.
Result<OrgWord> verify_org_word(const std::vector<Bytes>& signer_certificates, ByteView document,
                                WallTime signers_since, const SignerVerifier& verifier,
                                WallTime now);

// Untrusted where its overlay address does not follow from its key, its attestation does not check or
// is for another key or role, the document revokes it, or an endpoint is inside the overlay or is no
// unicast address.
Status check_mesh_peer(const MeshPeer& peer, const OrgWord& word, WallTime now);

}  // namespace fortros
