#include "core/proof.h"

namespace fortros {

static constexpr std::string_view key_domain = "fortros/proof/v1";
static constexpr std::string_view request_domain = "fortros/request/v1";
static constexpr std::string_view answer_domain = "fortros/answer/v1";
static constexpr std::uint8_t zero[] = {0};

static Result<ProofKey> derive(const PrivateKey& own, const PublicKey& peer, const PublicKey& node,
                               const PublicKey& gateway, const Exporter& exporter) {
    const auto shared = TRY(crypto::x25519(own, peer));
    return crypto::hkdf_sha256(exporter.view(), shared.view(),
                               {as_bytes(key_domain), node.bytes, gateway.bytes});
}

Result<ProofKey> proof_key_of_node(const PrivateKey& node, const PublicKey& node_public,
                                   const PublicKey& gateway, const Exporter& exporter) {
    return derive(node, gateway, node_public, gateway, exporter);
}

Result<ProofKey> proof_key_of_gateway(const PrivateKey& gateway, const PublicKey& gateway_public,
                                      const PublicKey& node, const Exporter& exporter) {
    return derive(gateway, node, node, gateway_public, exporter);
}

Proof request_proof(const ProofKey& key, std::string_view method, std::string_view target,
                    const PublicKey& node, ByteView body) {
    const auto digest = crypto::sha256({body});
    return crypto::hmac_sha256(key.view(), {as_bytes(request_domain), as_bytes(method), zero,
                                            as_bytes(target), zero, node.bytes, digest});
}

Proof answer_proof(const ProofKey& key, const Proof& request, int status, std::uint32_t retry_after,
                   ByteView body) {
    ByteWriter numbers;
    numbers.u16(static_cast<std::uint16_t>(status)).u32(retry_after);
    const auto digest = crypto::sha256({body});
    return crypto::hmac_sha256(key.view(),
                               {as_bytes(answer_domain), request, numbers.view(), digest});
}

}  // namespace fortros
