#include "core/membership.h"

#include "core/overlay.h"

namespace fortros {

static void disown_before(std::vector<Signer>& signers, WallTime since) {
    std::erase_if(signers, [since](const Signer& signer) { return signer.not_before < since; });
}

Result<OrgWord> verify_org_word(const std::vector<Bytes>& signer_certificates, ByteView document,
                                WallTime signers_since, const SignerVerifier& verifier,
                                WallTime now) {
    OrgWord word;
    for (const auto& certificate : signer_certificates)
        word.signers.push_back(TRY(verifier.verify(certificate, now)));
    disown_before(word.signers, signers_since);
    word.document = TRY(check_org_document(document, word.signers, now));
    disown_before(word.signers, word.document.signers_since);
    return word;
}

Status check_mesh_peer(const MeshPeer& peer, const OrgWord& word, WallTime now) {
    const OrgPrefix& prefix = word.document.prefix;
    const auto untrusted = [&peer](std::string what) {
        return fail(ErrorCode::Untrusted, std::move(what), peer.overlay_address.text());
    };
    if (peer.overlay_address != overlay_address(prefix, peer.key))
        return untrusted("a peer's overlay address does not follow from its key");
    const auto attestation = TRY(check_attestation(peer.attestation, word.signers, prefix, now));
    if (attestation.node != peer.key || attestation.role != peer.role)
        return untrusted("a peer's attestation is for another key or role");
    if (revokes(word.document, peer.key)) return untrusted("a peer is revoked");
    for (const auto& endpoint : peer.endpoints) TRY(check_endpoint(endpoint, prefix));
    return {};
}

}  // namespace fortros
