#include "core/enrolment.h"

#include <algorithm>
#include <set>

#include "base/encoding.h"
#include "core/sealed_invite.h"

namespace fortros {

static Result<PendingRequest> begin_request(const PrivateKey& node, const PublicKey& node_public,
                                            const GatewayIdentity& gateway,
                                            std::string_view gateway_name, std::string method,
                                            std::string target) {
    PendingRequest pending;
    pending.proof_key =
        TRY(proof_key_of_node(node, node_public, gateway.wireguard_key, gateway.exporter));
    pending.request.method = std::move(method);
    pending.request.target = std::move(target);
    pending.request.host = gateway_name;
    return pending;
}

static void prove(PendingRequest& pending, const PublicKey& node_public) {
    HttpRequest& request = pending.request;
    pending.proof = request_proof(pending.proof_key, request.method, request.target, node_public,
                                  request.body.view());
    if (!request.body.empty()) request.headers.emplace_back("Content-Type", "application/json");
    request.headers.emplace_back(node_header, node_public.base64url());
    request.headers.emplace_back(proof_header, to_base64(pending.proof));
}

Result<PendingRequest> make_proved_request(const PrivateKey& node, const PublicKey& node_public,
                                           const GatewayIdentity& gateway,
                                           std::string_view gateway_name, std::string method,
                                           std::string target, SecretBytes body) {
    auto pending = TRY(begin_request(node, node_public, gateway, gateway_name, std::move(method),
                                     std::move(target)));
    pending.request.body = std::move(body);
    prove(pending, node_public);
    return pending;
}

Result<PendingRequest> make_request(const PrivateKey& node, const PublicKey& node_public,
                                    const GatewayIdentity& gateway, std::string_view gateway_name,
                                    NodeRequest body, ByteView invite, Random& random) {
    auto pending = TRY(begin_request(node, node_public, gateway, gateway_name, "POST",
                                     std::string(invite.empty() ? join_target : enroll_target)));
    if (!invite.empty()) body.sealed_invite = seal_invite(pending.proof_key, invite, random);
    pending.request.body = SecretBytes(to_json_text(body));
    prove(pending, node_public);
    return pending;
}

Status check_answer_proof(const HttpAnswer& answer, const PendingRequest& request) {
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

// The gateway holds the keys that its chain vouches for, so its word sets clocks, within these bounds.
static Status check_time(WallTime told, const JudgeContext& context) {
    const auto impossible = [&](std::string_view why, WallTime bound) {
        return fail(ErrorCode::Untrusted, "the gateway says that it is " + to_rfc3339(told) + ", " +
                                              std::string(why) + " (" + to_rfc3339(bound) + ")");
    };
    if (told < context.chain_not_before)
        return impossible("before its own certificate chain begins", context.chain_not_before);
    if (told < context.clock_floor)
        return impossible("before a time that surely is past", context.clock_floor);
    if (told > context.chain_not_after)
        return impossible("after its own certificate chain has ended", context.chain_not_after);
    return {};
}

static Status check_peers(const Joined& joined, const JudgeContext& context, WallTime now) {
    const auto& peers = joined.answer.peers;
    std::set<PublicKey> seen;
    for (const auto& peer : peers) {
        if (!seen.insert(peer.key).second)
            return fail(ErrorCode::Untrusted, "the answer names a peer twice",
                        peer.overlay_address.text());
        if (peer.key == context.node)
            return fail(ErrorCode::Untrusted, "the answer names this node as its own peer");
        TRY(check_mesh_peer(peer, joined.org, now));
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
    auto set = TRY(check_bootstrap_set(answer.bootstrap, joined.org.signers, answer.prefix,
                                       answer.node, answer.time));
    if (set.role != answer.role)
        return fail(ErrorCode::Untrusted, "bootstrap set is for another role");
    for (const auto& peer : set.peers)
        if (revokes(joined.org.document, peer.key))
            return fail(ErrorCode::Untrusted, "bootstrap set names a peer that is revoked");
    if (set.policy_serial != joined.org.document.serial)
        return fail(ErrorCode::Untrusted, "bootstrap set is of another org document");
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
    joined.bootstrap_signer = *std::ranges::find(joined.answer.signers, set->signer, &signer_id_of);
    joined.bootstrap = std::move(*set);
}

// The prefix is the org's identity: a document that changes it must be newer than all that is known.
static Status check_prefix(const OrgDocument& document, const JudgeContext& context) {
    const auto changes = [&](const OrgPrefix& from) {
        return fail(ErrorCode::Untrusted, "the answer changes the organisation's overlay prefix",
                    from.text() + " to " + document.prefix.text());
    };
    if (context.pinned_prefix && *context.pinned_prefix != document.prefix)
        return changes(*context.pinned_prefix);
    if (context.prefix && *context.prefix != document.prefix &&
        document.serial <= context.document_serial)
        return changes(*context.prefix);
    return {};
}

static Status check_document(const OrgDocument& document, const MembershipAnswer& answer,
                             const JudgeContext& context) {
    if (document.serial < context.document_serial)
        return fail(
            ErrorCode::Untrusted, "the org document is older than one that was seen before",
            std::to_string(document.serial) + " after " + std::to_string(context.document_serial));
    if (document.prefix != answer.prefix || document.domain != answer.domain)
        return fail(ErrorCode::Untrusted,
                    "the answer's prefix or domain is not that of the org document");
    return check_prefix(document, context);
}

static Result<Joined> check_membership(std::string_view body, const JudgeContext& context,
                                       const SignerVerifier& verifier) {
    Joined joined;
    joined.answer = TRY(parse_membership_answer(body));
    const MembershipAnswer& answer = joined.answer;
    if (answer.node != context.node)
        return fail(ErrorCode::Untrusted, "the answer is for another node");
    TRY(check_time(answer.time, context));
    const WallTime now = answer.time;
    if (answer.overlay_address != overlay_address(answer.prefix, answer.node) ||
        is_reserved(answer.overlay_address))
        return fail(ErrorCode::Untrusted, "the overlay address does not follow from the node's key",
                    answer.overlay_address.text());
    joined.org =
        TRY(verify_org_word(answer.signers, answer.document, context.signers_since, verifier, now));
    TRY(check_document(joined.org.document, answer, context));
    joined.attestation =
        TRY(check_attestation(answer.attestation, joined.org.signers, answer.prefix, now));
    if (joined.attestation.node != answer.node || joined.attestation.role != answer.role)
        return fail(ErrorCode::Untrusted, "this node's attestation is for another key or role");
    if (joined.attestation.serial < context.attestation_serial)
        return fail(ErrorCode::Untrusted, "this node's attestation is older than one seen before");
    TRY(check_peers(joined, context, now));
    take_bootstrap(joined);
    return joined;
}

Result<Verdict> judge_answer(const HttpAnswer& answer, const PendingRequest& request,
                             const JudgeContext& context, const SignerVerifier& verifier) {
    TRY(check_answer_proof(answer, request));
    if (answer.status == 200) {
        auto joined = TRY(check_membership(answer.body, context, verifier));
        if (revokes(joined.org.document, context.node))
            return Rejected{{RefusalCode::Revoked, "the org document says so"}};
        return joined;
    }
    Refusal refusal = parse_refusal(answer.status, answer.body);
    if (refusal.code == RefusalCode::ApprovalPending || refusal.code == RefusalCode::Busy)
        return NotYet{std::move(refusal), retry_after_of(answer)};
    return Rejected{std::move(refusal)};
}

}  // namespace fortros
