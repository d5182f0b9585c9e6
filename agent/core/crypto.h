// The cryptography that the protocol is made of, declared once. Two libraries implement it, chosen
// at link time: mbedTLS for what runs on nodes (os/crypto_psa.cc), OpenSSL for the gateway
// (gateway/crypto_openssl.cc), so that each checks the other. No primitive is our own.
#pragma once

#include <initializer_list>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "core/key.h"

namespace fortros::crypto {

using Digest = ByteArray<32>;
using Signature = ByteArray<64>;  // ECDSA P-256: r, s, 32 bytes each, big-endian
using PointP256 = ByteArray<65>;  // SEC 1 uncompressed: 0x04, x, y
using Nonce = ByteArray<12>;

inline constexpr std::size_t tag_size = 16;

// Must succeed once before anything else here; may wait for the kernel's entropy.
Status initialise();

// Of the parts, one after the other.
Digest sha256(std::initializer_list<ByteView> parts);

// RFC 2104.
Digest hmac_sha256(ByteView key, std::initializer_list<ByteView> parts);

// RFC 5869, 32 bytes of output.
Secret<32> hkdf_sha256(ByteView salt, ByteView secret, std::initializer_list<ByteView> info);

// A fresh, clamped private key from `random`.
PrivateKey make_private_key(Random& random);

Result<PublicKey> public_key_of(const PrivateKey& key);

// RFC 7748. Fails with Untrusted where the result would be all zero (low-order points).
Result<Secret<32>> x25519(const PrivateKey& own, const PublicKey& peer);

// Whether `signature` over SHA-256(message) is `signer`'s. False for a point off the curve.
bool verify_p256(const PointP256& signer, ByteView message, const Signature& signature);

// ChaCha20-Poly1305 (RFC 8439) without associated data: the ciphertext, as long as `plain`, and the
// tag. Under one key a nonce may serve once.
Bytes seal(const Secret<32>& key, const Nonce& nonce, ByteView plain);

// Untrusted where the tag is not that of this key and nonce.
Result<SecretBytes> open(const Secret<32>& key, const Nonce& nonce, ByteView sealed);

}  // namespace fortros::crypto
