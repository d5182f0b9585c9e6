// core/crypto.h by OpenSSL 3, through its provider-neutral EVP interface.
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "core/crypto.h"
#include "gateway/openssl.h"

namespace fortros::crypto {

// After initialise() the calls that return no Result fail only when memory has run out.
#define MUST(expression) ASSERT(expression)

namespace {

using gateway::fail_openssl;
using gateway::OpenSsl;

// Fetched once: a fetch by name costs more than hashing a message of our size.
EVP_MD* g_sha256 = nullptr;
EVP_MAC* g_hmac = nullptr;
EVP_KDF* g_hkdf = nullptr;
EVP_CIPHER* g_chacha20_poly1305 = nullptr;

// OpenSSL takes no bytes at a null address for "not given", even where none are meant.
constexpr std::uint8_t nothing[1] = {0};
const std::uint8_t* data_of(ByteView bytes) { return bytes.empty() ? nothing : bytes.data(); }

// OSSL_PARAM points to writable memory by type only: what is set is never written to.
std::uint8_t* lend(ByteView bytes) { return const_cast<std::uint8_t*>(data_of(bytes)); }
char sha256_name[] = "SHA256";

OpenSsl<EVP_PKEY> x25519_key(const PrivateKey& key) {
    return OpenSsl<EVP_PKEY>(
        EVP_PKEY_new_raw_private_key_ex(nullptr, "X25519", nullptr, key.view().data(), key_size));
}

// Null for what makes no key.
OpenSsl<EVP_PKEY> key_from(const char* type, int selection, const OSSL_PARAM* parameters) {
    OpenSsl<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
    EVP_PKEY* key = nullptr;
    if (!context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &key, selection, const_cast<OSSL_PARAM*>(parameters)) != 1)
        return {};
    return OpenSsl<EVP_PKEY>(key);
}

// A key for agreements alone, where only the private half takes part: a public half that is not given would be
// computed, which takes as long as an agreement. So it is given, and is nobody's.
OpenSsl<EVP_PKEY> agreement_key(const PrivateKey& key) {
    static constexpr ByteArray<key_size> base_point{9};
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, lend(key.view()), key_size),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, lend(base_point), key_size),
        OSSL_PARAM_construct_end(),
    };
    return key_from("X25519", EVP_PKEY_KEYPAIR, parameters);
}

// Null for bytes that are no point of the curve.
OpenSsl<EVP_PKEY> p256_key(const PointP256& point) {
    char group[] = "P-256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, lend(point), point.size()),
        OSSL_PARAM_construct_end(),
    };
    return key_from("EC", EVP_PKEY_PUBLIC_KEY, parameters);
}

}  // namespace

Status initialise() {
    if (g_hkdf != nullptr) return {};
    g_sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    g_hmac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
    g_chacha20_poly1305 = EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr);
    g_hkdf = EVP_KDF_fetch(nullptr, "HKDF", nullptr);
    if (g_sha256 == nullptr || g_hmac == nullptr || g_chacha20_poly1305 == nullptr ||
        g_hkdf == nullptr)
        return fail_openssl(ErrorCode::Internal, "cannot start the cryptographic library");
    return {};
}

Digest sha256(std::initializer_list<ByteView> parts) {
    OpenSsl<EVP_MD_CTX> context(EVP_MD_CTX_new());
    MUST(context && EVP_DigestInit_ex2(context.get(), g_sha256, nullptr) == 1);
    for (ByteView part : parts)
        MUST(EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1);
    Digest digest;
    MUST(EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1);
    return digest;
}

Digest hmac_sha256(ByteView key, std::initializer_list<ByteView> parts) {
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256_name, 0),
        OSSL_PARAM_construct_end(),
    };
    OpenSsl<EVP_MAC_CTX> context(EVP_MAC_CTX_new(g_hmac));
    MUST(context && EVP_MAC_init(context.get(), data_of(key), key.size(), parameters) == 1);
    for (ByteView part : parts) MUST(EVP_MAC_update(context.get(), part.data(), part.size()) == 1);
    Digest mac;
    std::size_t size = 0;
    MUST(EVP_MAC_final(context.get(), mac.data(), &size, mac.size()) == 1 && size == mac.size());
    return mac;
}

Secret<32> hkdf_sha256(ByteView salt, ByteView secret, std::initializer_list<ByteView> info) {
    Bytes whole_info;  // no secret
    for (ByteView part : info) whole_info.insert(whole_info.end(), part.begin(), part.end());
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, sha256_name, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, lend(salt), salt.size()),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, lend(secret), secret.size()),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, lend(whole_info), whole_info.size()),
        OSSL_PARAM_construct_end(),
    };
    OpenSsl<EVP_KDF_CTX> context(EVP_KDF_CTX_new(g_hkdf));
    Secret<32> out;
    MUST(context && EVP_KDF_derive(context.get(), out.writable().data(), 32, parameters) == 1);
    return out;
}

PrivateKey make_private_key(Random& random) {
    PrivateKey key;
    auto bytes = key.writable();
    random.fill(bytes);
    // RFC 7748 section 5; wg(8) clamps likewise, so all tools show the same key.
    bytes[0] &= 0xf8;
    bytes[31] = static_cast<std::uint8_t>((bytes[31] & 0x7f) | 0x40);
    return key;
}

Result<PublicKey> public_key_of(const PrivateKey& key) {
    PublicKey out;
    std::size_t size = out.bytes.size();
    auto own = x25519_key(key);
    if (!own || EVP_PKEY_get_raw_public_key(own.get(), out.bytes.data(), &size) != 1 ||
        size != out.bytes.size())
        return fail_openssl(ErrorCode::Internal, "cannot compute a public key");
    return out;
}

Result<Secret<32>> x25519(const PrivateKey& own, const PublicKey& peer) {
    auto own_key = agreement_key(own);
    OpenSsl<EVP_PKEY> peer_key(EVP_PKEY_new_raw_public_key_ex(
        nullptr, "X25519", nullptr, peer.bytes.data(), peer.bytes.size()));
    OpenSsl<EVP_PKEY_CTX> context(
        own_key ? EVP_PKEY_CTX_new_from_pkey(nullptr, own_key.get(), nullptr) : nullptr);
    if (!peer_key || !context || EVP_PKEY_derive_init(context.get()) != 1)
        return fail_openssl(ErrorCode::Internal, "cannot agree on a key");
    // The library itself refuses a result of all zeros (RFC 7748 section 6.1).
    Secret<32> shared;
    std::size_t size = 32;
    if (EVP_PKEY_derive_set_peer(context.get(), peer_key.get()) != 1 ||
        EVP_PKEY_derive(context.get(), shared.writable().data(), &size) != 1 || size != 32)
        return fail_openssl(ErrorCode::Untrusted, "the peer's public key cannot be used");
    return shared;
}

bool verify_p256(const PointP256& signer, ByteView message, const Signature& signature) {
    auto key = p256_key(signer);
    OpenSsl<ECDSA_SIG> numbers(ECDSA_SIG_new());
    BIGNUM* r = BN_bin2bn(signature.data(), 32, nullptr);
    BIGNUM* s = BN_bin2bn(signature.data() + 32, 32, nullptr);
    MUST(numbers && ECDSA_SIG_set0(numbers.get(), r, s) == 1);
    std::uint8_t* der = nullptr;
    const int size = i2d_ECDSA_SIG(numbers.get(), &der);
    MUST(size > 0);
    OpenSsl<EVP_MD_CTX> context(EVP_MD_CTX_new());
    const bool valid = key && context &&
                       EVP_DigestVerifyInit_ex(context.get(), nullptr, "SHA256", nullptr, nullptr,
                                               key.get(), nullptr) == 1 &&
                       EVP_DigestVerify(context.get(), der, static_cast<std::size_t>(size),
                                        message.data(), message.size()) == 1;
    OPENSSL_free(der);
    gateway::forget_openssl_errors();
    return valid;
}

Bytes seal(const Secret<32>& key, const Nonce& nonce, ByteView plain) {
    OpenSsl<EVP_CIPHER_CTX> context(EVP_CIPHER_CTX_new());
    Bytes sealed(plain.size() + tag_size);
    int size = 0, rest = 0;
    MUST(context && EVP_EncryptInit_ex2(context.get(), g_chacha20_poly1305, key.view().data(),
                                        nonce.data(), nullptr) == 1);
    MUST(EVP_EncryptUpdate(context.get(), sealed.data(), &size, data_of(plain),
                           static_cast<int>(plain.size())) == 1);
    MUST(EVP_EncryptFinal_ex(context.get(), sealed.data() + size, &rest) == 1);
    MUST(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, int{tag_size},
                             sealed.data() + plain.size()) == 1);
    return sealed;
}

Result<SecretBytes> open(const Secret<32>& key, const Nonce& nonce, ByteView sealed) {
    if (sealed.size() < tag_size) return fail(ErrorCode::Untrusted, "sealed bytes without a tag");
    const ByteView text = sealed.first(sealed.size() - tag_size), tag = sealed.last(tag_size);
    OpenSsl<EVP_CIPHER_CTX> context(EVP_CIPHER_CTX_new());
    // One byte more: OpenSSL takes no output at a null address, even where there is none.
    SecretBytes padded(text.size() + 1);
    int size = 0, rest = 0;
    MUST(context && EVP_DecryptInit_ex2(context.get(), g_chacha20_poly1305, key.view().data(),
                                        nonce.data(), nullptr) == 1);
    MUST(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, int{tag_size}, lend(tag)) == 1);
    if (EVP_DecryptUpdate(context.get(), padded.writable().data(), &size, data_of(text),
                          static_cast<int>(text.size())) != 1 ||
        EVP_DecryptFinal_ex(context.get(), padded.writable().data() + size, &rest) != 1)
        return fail_openssl(ErrorCode::Untrusted, "sealed under another key, or altered");
    return SecretBytes(padded.view().first(text.size()));
}

}  // namespace fortros::crypto
