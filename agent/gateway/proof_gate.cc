#include "gateway/proof_gate.h"

#include "base/encoding.h"
#include "base/text.h"
#include "core/messages.h"

namespace fortros::gateway {

static constexpr std::uint32_t strangers_noted_per_minute = 20;

// Lower-case names of core/proof.h's headers, as the edge gives them.
static constexpr std::string_view node_header_name = "fortros-node";
static constexpr std::string_view proof_header_name = "fortros-proof";

ProofGate::ProofGate(PrivateKey key, const PublicKey& public_key, Log& log)
    : m_key(std::move(key)),
      m_public_key(public_key),
      m_log(log),
      m_strangers(strangers_noted_per_minute) {}

std::optional<PublicKey> claimed_node(const Request& request) {
    const auto* text = request.header(node_header_name);
    if (text == nullptr) return std::nullopt;
    const auto key = PublicKey::from_base64url(*text);
    return key ? std::optional(*key) : std::nullopt;
}

std::optional<Proved> ProofGate::check(const Request& request) const {
    const auto node = claimed_node(request);
    const auto* proof_text = request.header(proof_header_name);
    if (!node || proof_text == nullptr) return std::nullopt;
    const auto proof = from_base64(*proof_text);
    if (!proof) return std::nullopt;
    auto key = proof_key_of_gateway(m_key, m_public_key, *node, request.exporter);
    if (!key) return std::nullopt;
    const auto expected =
        request_proof(*key, request.method, request.target, *node, request.body.view());
    if (!equal_in_constant_time(*proof, expected)) return std::nullopt;
    return Proved{*node, std::move(*key), expected};
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

void ProofGate::seal(Answer& answer, const Proved& proved) {
    std::uint32_t retry_after = 0;
    for (const auto& [name, value] : answer.headers)
        if (name == "Retry-After") retry_after = parse_number<std::uint32_t>(value).value_or(0);
    const auto mac =
        answer_proof(proved.key, proved.proof, answer.status, retry_after, as_bytes(answer.body));
    answer.headers.emplace_back(answer_proof_header, to_base64(mac));
}

}  // namespace fortros::gateway
