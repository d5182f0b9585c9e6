// Enrolment from the node's side: the request for a key and a gateway, and the judgement of the
// answer. An answer counts only if it is proved by the gateway's WireGuard key and everything in it
// follows from what the node can check itself. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "core/bootstrap_set.h"
#include "core/gateway_identity.h"
#include "core/http.h"
#include "core/membership.h"
#include "core/messages.h"
#include "core/proof.h"

namespace fortros {

// A request under way: what must be remembered to judge its answer.
struct PendingRequest {
    HttpRequest request;
    ProofKey proof_key;
    Proof proof{};
};

// An enrolment with the invite, which leaves sealed for this gateway and this connection alone; a
// join if it is empty. `random` gives the seal its nonce.
Result<PendingRequest> make_request(const PrivateKey& node, const PublicKey& node_public,
                                    const GatewayIdentity& gateway, std::string_view gateway_name,
                                    NodeRequest body, ByteView invite, Random& random);

// Any request with its proof. Whatever the method, the answer is judged by the same proof.
Result<PendingRequest> make_proved_request(const PrivateKey& node, const PublicKey& node_public,
                                           const GatewayIdentity& gateway,
                                           std::string_view gateway_name, std::string method,
                                           std::string target, SecretBytes body);

// Untrusted where the answer does not prove possession of the gateway's WireGuard key. Everything else
// in it, its status included, may be believed only after this.
Status check_answer_proof(const HttpAnswer& answer, const PendingRequest& request);

// What a gateway's authentic answer can mean.
struct Joined {
    MembershipAnswer answer;
    Attestation attestation;
    OrgWord org;
    // answer.bootstrap, checked at the gateway's time, and the certificate (DER) of its signer. A set
    // that does not check is taken out of the answer; the problem, for the log, says why.
    std::optional<BootstrapSet> bootstrap{};
    Bytes bootstrap_signer{};
    std::string bootstrap_problem{};
};
struct NotYet {  // 202, 429, 503
    Refusal refusal;
    std::optional<std::uint32_t> retry_after_seconds;
};
struct Rejected {  // 400, 401, 403, 409
    Refusal refusal;
};
using Verdict = std::variant<Joined, NotYet, Rejected>;

struct JudgeContext {
    PublicKey node;
    PublicKey gateway;                         // the authenticated one
    std::optional<OrgPrefix> pinned_prefix{};  // by the image: nothing may change it
    std::optional<OrgPrefix> prefix{};     // remembered: only a newer org document may change it
    std::uint64_t document_serial = 0;     // of the newest org document seen
    WallTime signers_since{};              // what the newest of them said
    std::uint64_t attestation_serial = 0;  // of the newest attestation of this node seen
    // All is judged at the answer's own time, which lies between the dates of the chain that vouches for
    // the gateway, and not before what surely is past. The node's clock has no say: it has judged the
    // chain, and is about to be set. One that is weeks ahead would find every attestation expired.
    WallTime chain_not_before{};
    WallTime chain_not_after{};
    WallTime clock_floor{};
};

// Untrusted where the answer's proof is missing or wrong, the org document does not check, is older
// than one seen before or says otherwise than the answer, the overlay address does not follow from the
// key, an endpoint lies inside the overlay or is no unicast address, the attestation or a peer's
// attestation does not check, a peer is revoked, or the answering gateway is not among the peers. A
// document that revokes this very node is a rejection. InvalidData where it does not parse. Never believes a part of an answer, but for the
// bootstrap set: that it is wrong costs the next boot its fast start, and not this one its overlay.
Result<Verdict> judge_answer(const HttpAnswer& answer, const PendingRequest& request,
                             const JudgeContext& context, const SignerVerifier& verifier);

}  // namespace fortros
