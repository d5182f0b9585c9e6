// Proof of possession: a node shows a gateway, and the gateway shows the node, that it holds the
// private half of its WireGuard key, bound to this TLS connection by the TLS exporter (RFC 5705,
// RFC 8446 section 7.5). Nothing here is sent or received.
//
//   k = HKDF-SHA-256(salt   = 32 bytes of the TLS exporter, label "EXPORTER-fortros-proof-v1",
//                    secret = X25519(own private key, other's public key),
//                    info   = "fortros/proof/v1" || node key || gateway key)
//   request proof = HMAC-SHA-256(k, "fortros/request/v1" || method || 00 || target || 00 ||
//                                   node key || SHA-256(body))
//   answer proof  = HMAC-SHA-256(k, "fortros/answer/v1" || request proof || status (2 bytes) ||
//                                   Retry-After (4 bytes, 0 if absent) || SHA-256(body))
//
// Numbers are big-endian; bodies are the bytes on the wire. The answer covers the request's proof,
// so an answer to one request can't be played to another on the same connection.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "core/crypto.h"
#include "core/key.h"

namespace fortros {

inline constexpr std::string_view proof_exporter_label = "EXPORTER-fortros-proof-v1";
inline constexpr std::string_view node_header = "Fortros-Node";            // key, base64url
inline constexpr std::string_view proof_header = "Fortros-Proof";          // base64
inline constexpr std::string_view answer_proof_header = "Fortros-Answer";  // base64

using Exporter = Secret<32>;
using ProofKey = Secret<32>;
using Proof = crypto::Digest;

// The node's side and the gateway's side of the same key. Untrusted for a low-order peer key.
Result<ProofKey> proof_key_of_node(const PrivateKey& node, const PublicKey& node_public,
                                   const PublicKey& gateway, const Exporter& exporter);
Result<ProofKey> proof_key_of_gateway(const PrivateKey& gateway, const PublicKey& gateway_public,
                                      const PublicKey& node, const Exporter& exporter);

Proof request_proof(const ProofKey& key, std::string_view method, std::string_view target,
                    const PublicKey& node, ByteView body);
Proof answer_proof(const ProofKey& key, const Proof& request, int status, std::uint32_t retry_after,
                   ByteView body);

}  // namespace fortros
