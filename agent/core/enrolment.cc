#include "core/enrolment.h"

#include <algorithm>
#include <set>

#include "base/encoding.h"

namespace fortros {

Result<PendingRequest> make_request(const PrivateKey& node, const PublicKey& node_public,
                                    const GatewayIdentity& gateway, std::string_view gateway_name,
                                    const NodeRequest& body) {
    PendingRequest pending;
    pending.proof_key =
        TRY(proof_key_of_node(node, node_public, gateway.wireguard_key, gateway.exporter));
    HttpRequest& request = pending.request;
    request.method = "POST";
    request.target = body.invite.empty() ? join_target : enroll_target;
    request.host = gateway_name;
    request.body = to_json_text(body);
    pending.proof = request_proof(pending.proof_key, request.method, request.target, node_public,
                                  request.body.view());
    request.headers = {
        {"Content-Type", "application/json"},
        {std::string(node_header), node_public.base64url()},
        {std::string(proof_header), to_base64(pending.proof)},
    };
    return pending;
}

// Everything else in the answer, its status included, may be believed only after this.
static Status check_proof(const HttpAnswer& answer, const PendingRequest& request) {
    const auto* header = answer.header("fortros-answer");
    if (header == nullptr)
        return fail(ErrorCode::Untrusted,
                    "the answer does not prove possession of the gateway's WireGuard key",
                    "HTTP status " + std::to_string(answer.status) + ": " +
                        parse_refusal(answer.status, answer.body).message);
    const auto given = from_base64(*header);
    const auto expected = answer_proof(request.proof_key, request.proof, answer.status,
                                       retry_after_of(answer).value_or(0), as_bytes(answer.body));
    if (!given || !equal_in_constant_time(*given, expected))
        return fail(ErrorCode::Untrusted,
                    "the answer's proof of the gateway's WireGuard key is wrong");
    return {};
}

static Status check_peer(const MeshPeer& peer, const JudgeContext& context, const OrgPrefix& prefix,
                         const std::vector<Signer>& signers) {
    if (peer.key == context.node)
        return fail(ErrorCode::Untrusted, "the answer names this node as its own peer");
    if (peer.overlay_address != overlay_address(prefix, peer.key))
        return fail(ErrorCode::Untrusted, "a peer's overlay address does not follow from its key",
                    peer.overlay_address.text());
    const auto attestation = TRY(check_attestation(peer.attestation, signers, prefix, context.now));
    if (attestation.node != peer.key || attestation.role != peer.role)
        return fail(ErrorCode::Untrusted, "a peer's attestation is for another key or role",
                    peer.overlay_address.text());
    for (const auto& endpoint : peer.endpoints) TRY(check_endpoint(endpoint, prefix));
    return {};
}

static Status check_peers(const std::vector<MeshPeer>& peers, const JudgeContext& context,
                          const OrgPrefix& prefix, const std::vector<Signer>& signers) {
    std::set<PublicKey> seen;
    for (const auto& peer : peers) {
        if (!seen.insert(peer.key).second)
            return fail(ErrorCode::Untrusted, "the answer names a peer twice",
                        peer.overlay_address.text());
        TRY(check_peer(peer, context, prefix, signers));
    }
    auto gateway = std::ranges::find(peers, context.gateway, &MeshPeer::key);
    if (gateway == peers.end() || gateway->role != Role::Gateway || gateway->endpoints.empty())
        return fail(ErrorCode::Untrusted,
                    "the answering gateway is not among the peers that it names");
    return {};
}

// At the gateway's time, which is authentic by now: this node's clock may still be far behind.
static Result<BootstrapSet> check_bootstrap(const Joined& joined) {
    const MembershipAnswer& answer = joined.answer;
    auto set = TRY(check_bootstrap_set(answer.bootstrap, joined.signers, answer.prefix, answer.node,
                                       answer.time));
    if (set.role != answer.role)
        return fail(ErrorCode::Untrusted, "bootstrap set is for another role");
    return set;
}

static void take_bootstrap(Joined& joined) {
    if (joined.answer.bootstrap.empty()) return;
    auto set = check_bootstrap(joined);
    if (!set) {
        joined.answer.bootstrap.clear();
        joined.bootstrap_problem = set.error().text();
        return;
    }
    const auto signer = std::ranges::find(joined.signers, set->signer, &Signer::id);
    joined.bootstrap_signer =
        joined.answer.signers.at(static_cast<std::size_t>(signer - joined.signers.begin()));
    joined.bootstrap = std::move(*set);
}

static Result<Joined> check_membership(std::string_view body, const JudgeContext& context,
                                       const SignerVerifier& verifier) {
    Joined joined;
    joined.answer = TRY(parse_membership_answer(body));
    const MembershipAnswer& answer = joined.answer;
    if (answer.node != context.node)
        return fail(ErrorCode::Untrusted, "the answer is for another node");
    if (answer.time < context.chain_not_before || answer.time > context.chain_not_after)
        return fail(ErrorCode::Untrusted,
                    "the gateway's clock is outside the dates of its own certificate chain",
                    to_rfc3339(answer.time));
    if (context.prefix && *context.prefix != answer.prefix)
        return fail(ErrorCode::Untrusted, "the answer changes the organisation's overlay prefix",
                    context.prefix->text() + " to " + answer.prefix.text());
    if (answer.overlay_address != overlay_address(answer.prefix, answer.node) ||
        is_reserved(answer.overlay_address))
        return fail(ErrorCode::Untrusted, "the overlay address does not follow from the node's key",
                    answer.overlay_address.text());
    for (const auto& certificate : answer.signers)
        joined.signers.push_back(TRY(verifier.verify(certificate, context.now)));
    joined.attestation =
        TRY(check_attestation(answer.attestation, joined.signers, answer.prefix, context.now));
    if (joined.attestation.node != answer.node || joined.attestation.role != answer.role)
        return fail(ErrorCode::Untrusted, "this node's attestation is for another key or role");
    TRY(check_peers(answer.peers, context, answer.prefix, joined.signers));
    take_bootstrap(joined);
    return joined;
}

Result<Verdict> judge_answer(const HttpAnswer& answer, const PendingRequest& request,
                             const JudgeContext& context, const SignerVerifier& verifier) {
    TRY(check_proof(answer, request));
    if (answer.status == 200) return TRY(check_membership(answer.body, context, verifier));
    Refusal refusal = parse_refusal(answer.status, answer.body);
    if (refusal.code == RefusalCode::ApprovalPending || refusal.code == RefusalCode::Busy)
        return NotYet{std::move(refusal), retry_after_of(answer)};
    return Rejected{std::move(refusal)};
}

}  // namespace fortros
