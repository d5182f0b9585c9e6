#include "gateway/proof_gate.h"

#include "base/encoding.h"
#include "base/text.h"
#include "core/feed.h"
#include "core/messages.h"

namespace fortros::gateway {

static constexpr std::uint32_t strangers_noted_per_minute = 20;

// Lower-case names of core/proof.h's headers, as the edge gives them.
static constexpr std::string_view node_header_name = "fortros-node";
static constexpr std::string_view proof_header_name = "fortros-proof";

ProofGate::ProofGate(PrivateKey key, const PublicKey& public_key, Log& log, Next next)
    : m_key(std::move(key)),
      m_public_key(public_key),
      m_log(log),
      m_next(std::move(next)),
      m_strangers(strangers_noted_per_minute) {}

// --- what is asked ---

static std::string_view method_of(std::string_view target) {
    if (target == enroll_target || target == join_target) return "POST";
    return target.starts_with(members_target) ? "GET" : "";
}

// What is no question to this gateway, whoever asks it.
static std::optional<Answer> no_question(const Request& request) {
    const auto method = method_of(request.target);
    if (request.method == method) return std::nullopt;
    const std::string problem = method.empty()
                                    ? "there is nothing at this address"
                                    : "this address takes " + std::string(method) + " only";
    auto answer = make_refusal(RefusalCode::BadRequest, problem);
    answer.status = method.empty() ? 404 : 405;
    if (!method.empty()) answer.headers.emplace_back("Allow", method);
    return answer;
}

// --- who asks ---

static std::optional<PublicKey> claimed_node(const Request& request) {
    const auto* text = request.header(node_header_name);
    if (text == nullptr) return std::nullopt;
    return PublicKey::from_base64url(*text);
}

// The last thing that is done to an answer: it covers all of it.
static void seal(Answer& answer, const ProofKey& key, const Proof& proof) {
    std::uint32_t retry_after = 0;
    for (const auto& [name, value] : answer.headers)
        if (name == "Retry-After") retry_after = parse_number<std::uint32_t>(value).value_or(0);
    const auto mac =
        answer_proof(key, proof, answer.status, retry_after, as_bytes(answer.content()));
    answer.headers.emplace_back(answer_proof_header, to_base64(mac));
}

std::optional<Proof> ProofGate::check(const Request& request, const PublicKey& node,
                                      const ProofKey& key) const {
    const auto* text = request.header(proof_header_name);
    const auto proof = text == nullptr ? std::nullopt : from_base64(*text);
    if (!proof) return std::nullopt;
    const auto expected =
        request_proof(key, request.method, request.target, node, request.body.view());
    return equal_in_constant_time(*proof, expected) ? std::optional(expected) : std::nullopt;
}

void ProofGate::handle(Request request, Reply reply, WallTime now) {
    if (auto answer = no_question(request)) return reply(std::move(*answer));
    const auto node = claimed_node(request);
    if (!node) return reply(refuse(request, now));
    auto key = proof_key_of_gateway(m_key, m_public_key, *node, request.exporter);
    const auto proof = key ? check(request, *node, *key) : std::nullopt;
    if (!proof) return reply(refuse(request, now));
    auto sealing = [key = key->duplicate(), proof = *proof,
                    reply = std::move(reply)](Answer answer) mutable {
        seal(answer, key, proof);
        reply(std::move(answer));
    };
    m_next({std::move(request), *node, std::move(*key)}, std::move(sealing));
}

Answer ProofGate::refuse(const Request& request, WallTime now) {
    if (m_strangers.allow(now))
        m_log.write(
            {Level::Info,
             "proof-invalid",
             "refused a request without a valid proof from " + request.from.text(),
             {{"from", request.from.text()},
              {"not_logged_before", static_cast<std::int64_t>(m_strangers.take_unsaid())}}});
    return make_refusal(RefusalCode::ProofInvalid,
                        "the request does not prove possession of the node's key");
}

}  // namespace fortros::gateway
