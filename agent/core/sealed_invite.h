// An invite on its way to a gateway: sealed, so that nobody but the holder of the gateway's WireGuard
// private key at the other end of this very TLS connection can read it. A stolen TLS key earns no
// invite. Nothing here is sent or received.
//
//   seal key = HKDF-SHA-256(no salt, secret = k of core/proof.h, info = "fortros/invite/v1")
//   sealed   = nonce (12 random bytes) || ChaCha20-Poly1305(seal key, nonce, no associated data, invite)
//
// k already stands for both WireGuard keys and for the connection, so the sealed bytes mean nothing
// anywhere else.
#pragma once

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "core/proof.h"

namespace fortros {

inline constexpr std::size_t invite_limit = 256;
inline constexpr std::size_t sealed_invite_limit =
    std::tuple_size_v<crypto::Nonce> + invite_limit + crypto::tag_size;

Bytes seal_invite(const ProofKey& key, ByteView invite, Random& random);

// Untrusted for anything that was not sealed under this key.
Result<SecretBytes> open_invite(const ProofKey& key, ByteView sealed);

}  // namespace fortros
