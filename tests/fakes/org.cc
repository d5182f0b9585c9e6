#include "fakes/org.h"

#include <psa/crypto.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/text.h"
#include "core/sealed_invite.h"

namespace fortros::fakes {

FakeSigner::FakeSigner(WallTime not_before, WallTime not_after, std::size_t padding) {
    ASSERT(crypto::initialise().has_value());
    ASSERT(psa_crypto_init() == PSA_SUCCESS);
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    psa_set_key_type(&attributes, PSA_KEY_TYPE_ECC_KEY_PAIR(PSA_ECC_FAMILY_SECP_R1));
    psa_set_key_bits(&attributes, 256);
    psa_set_key_usage_flags(&attributes, PSA_KEY_USAGE_SIGN_MESSAGE);
    psa_set_key_algorithm(&attributes, PSA_ALG_ECDSA(PSA_ALG_SHA_256));
    psa_key_id_t key = 0;
    ASSERT(psa_generate_key(&attributes, &key) == PSA_SUCCESS);
    m_key = key;
    std::size_t size = 0;
    ASSERT(psa_export_public_key(key, m_signer.key.data(), m_signer.key.size(), &size) ==
           PSA_SUCCESS);
    m_certificate.assign(m_signer.key.begin(), m_signer.key.end());
    m_certificate.resize(m_certificate.size() + padding);
    m_signer.id = signer_id_of(m_certificate);
    m_signer.not_before = not_before;
    m_signer.not_after = not_after;
}

Bytes FakeSigner::attest(const OrgPrefix& prefix, const PublicKey& node, Role role,
                         WallTime not_after, std::uint64_t serial) const {
    return with_signature(
        attestation_bytes_to_sign({prefix, node, role, serial, not_after, m_signer.id}));
}

Bytes FakeSigner::sign(BootstrapSet set) const {
    set.signer = m_signer.id;
    return with_signature(bootstrap_bytes_to_sign(set));
}

Bytes FakeSigner::sign(OrgDocument document) const {
    document.signer = m_signer.id;
    return with_signature(document_bytes_to_sign(document));
}

Bytes FakeSigner::with_signature(Bytes bytes) const {
    crypto::Signature signature;
    std::size_t size = 0;
    ASSERT(psa_sign_message(m_key, PSA_ALG_ECDSA(PSA_ALG_SHA_256), bytes.data(), bytes.size(),
                            signature.data(), signature.size(), &size) == PSA_SUCCESS);
    bytes.insert(bytes.end(), signature.begin(), signature.end());
    return bytes;
}

Result<Signer> FakeVerifier::verify(ByteView certificate_der, WallTime now) const {
    const SignerId id = signer_id_of(certificate_der);
    for (const auto& signer : m_known)
        if (signer.id == id && now >= signer.not_before && now <= signer.not_after) return signer;
    return fail(ErrorCode::Untrusted, "signer certificate is not the organisation's");
}

FakeOrg::FakeOrg(Random& random, FakeSigner of)
    : signer(std::move(of)),
      gateway_key(crypto::make_private_key(random)),
      gateway_public(*crypto::public_key_of(gateway_key)) {}

struct ParsedRequest {
    std::string_view method;
    std::string_view target;
    std::string_view body;
    std::map<std::string, std::string> headers;
};

static ParsedRequest parse(std::string_view text) {
    ParsedRequest request;
    const auto end = text.find("\r\n\r\n");
    ASSERT(end != std::string_view::npos);
    request.body = text.substr(end + 4);
    const auto lines = split(text.substr(0, end), '\n');
    const auto first = words_of(lines[0]);
    request.method = first.at(0);
    request.target = first.at(1);
    for (std::size_t i = 1; i < lines.size(); ++i) {
        const auto colon = lines[i].find(':');
        request.headers[to_lower(lines[i].substr(0, colon))] = trim(lines[i].substr(colon + 1));
    }
    return request;
}

std::string FakeOrg::membership(const PublicKey& node, WallTime now) const {
    const WallTime later = now + one_day * 30;
    MembershipAnswer answer{
        .time = now,
        .node = node,
        .overlay_address = overlay_address(prefix, node),
        .attestation = signer.attest(prefix, node, Role::Node, later),
        .prefix = prefix,
        .domain = domain,
        .signers = {signer.certificate()},
    };
    OrgDocument document{
        .prefix = prefix, .serial = document_serial, .sources = document_sources, .domain = domain};
    for (const auto& [key, revoked] : nodes)
        if (revoked) document.revoked.push_back(key);
    document.revocation_number = document.revoked.size();
    if (tamper_with_document) tamper_with_document(document);
    answer.document = signer.sign(document);
    answer.peers.push_back(
        {.key = gateway_public,
         .role = Role::Gateway,
         .overlay_address = overlay_address(prefix, gateway_public),
         .endpoints = more_wireguard,
         .attestation = signer.attest(prefix, gateway_public, Role::Gateway, later)});
    answer.peers.back().endpoints.push_back(wireguard);
    BootstrapSet set{.prefix = prefix,
                     .node = node,
                     .serial = static_cast<std::uint64_t>(now.time_since_epoch().count()),
                     .not_after = now + bootstrap_set_life,
                     .policy_serial = document.serial,
                     .revocation_number = document.revocation_number,
                     .peers = bootstrap_peers_of(answer.peers)};
    if (tamper_with_set) tamper_with_set(set);
    answer.bootstrap = signer.sign(set);
    if (tamper) tamper(answer);
    return to_json_text(answer);
}

static std::pair<int, std::string> refusal(RefusalCode code,
                                           std::optional<IpAddress> address = {}) {
    return {status_of(code), to_json_text(Refusal{code, std::string(name_of(code)), address})};
}

std::pair<int, std::string> FakeOrg::decide(std::string_view target, const PublicKey& node,
                                            const ProofKey& key, std::string_view body,
                                            WallTime now) {
    if (forgive_after != 0 && requests > forgive_after) refuse_all.reset();
    if (refuse_all == RefusalCode::ApprovalPending)
        return refusal(*refuse_all, shown_address.value_or(overlay_address(prefix, node)));
    if (refuse_all) return refusal(*refuse_all);
    const auto message = parse_node_request(body);
    if (!message) return refusal(RefusalCode::BadRequest);
    const auto known = nodes.find(node);
    if (known != nodes.end() && known->second) return refusal(RefusalCode::Revoked);
    if (target == enroll_target) {
        if (addresses_taken > 0) {
            --addresses_taken;
            return refusal(RefusalCode::AddressTaken);
        }
        if (known == nodes.end()) {
            const auto opened = open_invite(key, message->sealed_invite);
            if (!opened) return refusal(RefusalCode::BadRequest);
            const auto invite = invites.find(opened->text());
            if (invite == invites.end() || invite->second.uses_left == 0)
                return refusal(RefusalCode::InviteInvalid);
            --invite->second.uses_left;
            nodes[node] = false;
        }
        ++enrolments;
    } else {
        if (known == nodes.end()) return refusal(RefusalCode::UnknownNode);
        ++joins;
    }
    // So that a node that has rebooted is not kept waiting by what the kernel remembers of it.
    if (!message->has_session)
        sessions.erase(node);
    else if (!sessions.contains(node))
        ++false_sessions;
    return {200, membership(node, now)};
}

static PublicKey node_of(const ParsedRequest& request) {
    const auto node = PublicKey::from_base64url(request.headers.at("fortros-node"));
    ASSERT(node.has_value());
    return *node;
}

static void prove(HttpAnswer& answer, std::uint32_t retry_after, const ProofKey& key,
                  const Proof& request) {
    answer.headers.emplace_back(
        "fortros-answer",
        to_base64(answer_proof(key, request, answer.status, retry_after, as_bytes(answer.body))));
}

HttpAnswer FakeOrg::answer(std::string_view text, const Exporter& exporter, WallTime now) {
    ++requests;
    const auto request = parse(text);
    const PublicKey node = node_of(request);
    const auto key = proof_key_of_gateway(gateway_key, gateway_public, node, exporter);
    ASSERT(key.has_value());
    const auto proof =
        request_proof(*key, request.method, request.target, node, as_bytes(request.body));
    HttpAnswer answer;
    if (to_base64(proof) != request.headers.at("fortros-proof")) {
        std::tie(answer.status, answer.body) = refusal(RefusalCode::ProofInvalid);
        return answer;
    }
    std::tie(answer.status, answer.body) = decide(request.target, node, *key, request.body, now);
    if (retry_after != 0) answer.headers.emplace_back("retry-after", std::to_string(retry_after));
    if (!forget_proof) prove(answer, retry_after, *key, proof);
    return answer;
}

HttpAnswer FakeOrg::refuse(RefusalCode code, std::uint32_t patience, std::string_view text,
                           const Exporter& exporter) {
    const auto usual = std::pair(std::exchange(refuse_all, code), retry_after);
    retry_after = patience;
    auto said = answer(text, exporter, {});
    std::tie(refuse_all, retry_after) = usual;
    return said;
}

HttpAnswer FakeOrg::forge(unsigned kind, std::string_view text, const Exporter& exporter,
                          WallTime now) const {
    const auto request = parse(text);
    const PublicKey node = node_of(request);
    HttpAnswer answer{.status = 200, .headers = {}, .body = membership(node, now)};
    switch (kind % 5) {
        case 0: break;  // as it was recorded, without a proof
        case 1: answer.headers.emplace_back("fortros-answer", to_base64(Proof{})); break;
        case 2: {  // proved by a key of his own
            PrivateKey own;
            own.writable()[0] = 8, own.writable()[31] = 64;
            const auto key = proof_key_of_gateway(own, gateway_public, node, exporter);
            ASSERT(key.has_value());
            prove(
                answer, 0, *key,
                request_proof(*key, request.method, request.target, node, as_bytes(request.body)));
            break;
        }
        case 3: std::tie(answer.status, answer.body) = refusal(RefusalCode::Revoked); break;
        case 4:
            std::tie(answer.status, answer.body) = refusal(RefusalCode::Busy);
            answer.headers.emplace_back("retry-after", "3600");
            break;
    }
    return answer;
}

}  // namespace fortros::fakes
