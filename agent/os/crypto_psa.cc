// core/crypto.h by mbedTLS 3.6, through the PSA interface.
#include <psa/crypto.h>

#include <algorithm>
#include <string>

#include "core/crypto.h"

namespace fortros::crypto {

// After initialise() the calls that return no Result fail only when memory has run out.
#define MUST(call) ASSERT((call) == PSA_SUCCESS)

namespace {

// A key inside the library for as long as this lives; the library wipes its copy.
class PsaKey {
public:
    PsaKey() = default;
    PsaKey(const PsaKey&) = delete;
    PsaKey& operator=(const PsaKey&) = delete;
    ~PsaKey() { psa_destroy_key(m_id); }

    psa_status_t import(psa_key_type_t type, psa_key_usage_t usage, psa_algorithm_t algorithm,
                        ByteView bytes) {
        psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
        psa_set_key_type(&attributes, type);
        psa_set_key_usage_flags(&attributes, usage);
        psa_set_key_algorithm(&attributes, algorithm);
        return psa_import_key(&attributes, bytes.data(), bytes.size(), &m_id);
    }
    psa_key_id_t id() const { return m_id; }

private:
    psa_key_id_t m_id = PSA_KEY_ID_NULL;
};

constexpr psa_key_type_t x25519_pair = PSA_KEY_TYPE_ECC_KEY_PAIR(PSA_ECC_FAMILY_MONTGOMERY);
constexpr psa_algorithm_t chacha20_poly1305 = PSA_ALG_CHACHA20_POLY1305;
constexpr psa_key_type_t p256_public = PSA_KEY_TYPE_ECC_PUBLIC_KEY(PSA_ECC_FAMILY_SECP_R1);

std::unexpected<Error> fail_psa(ErrorCode code, const char* what, psa_status_t status) {
    return fail(code, what, "PSA status " + std::to_string(status));
}

}  // namespace

Status initialise() {
    if (auto status = psa_crypto_init(); status != PSA_SUCCESS)
        return fail_psa(ErrorCode::Internal, "cannot start the cryptographic library", status);
    return {};
}

Digest sha256(std::initializer_list<ByteView> parts) {
    psa_hash_operation_t operation = PSA_HASH_OPERATION_INIT;
    MUST(psa_hash_setup(&operation, PSA_ALG_SHA_256));
    for (ByteView part : parts) MUST(psa_hash_update(&operation, part.data(), part.size()));
    Digest digest;
    std::size_t size = 0;
    MUST(psa_hash_finish(&operation, digest.data(), digest.size(), &size));
    ASSERT(size == digest.size());
    return digest;
}

Digest hmac_sha256(ByteView key, std::initializer_list<ByteView> parts) {
    // HMAC fills a short key up with zeros, and PSA knows no empty key: a zero byte is the same key.
    static constexpr std::uint8_t empty_key[1] = {0};
    PsaKey imported;
    MUST(imported.import(PSA_KEY_TYPE_HMAC, PSA_KEY_USAGE_SIGN_MESSAGE,
                         PSA_ALG_HMAC(PSA_ALG_SHA_256), key.empty() ? ByteView(empty_key) : key));
    psa_mac_operation_t operation = PSA_MAC_OPERATION_INIT;
    MUST(psa_mac_sign_setup(&operation, imported.id(), PSA_ALG_HMAC(PSA_ALG_SHA_256)));
    for (ByteView part : parts) MUST(psa_mac_update(&operation, part.data(), part.size()));
    Digest mac;
    std::size_t size = 0;
    MUST(psa_mac_sign_finish(&operation, mac.data(), mac.size(), &size));
    ASSERT(size == mac.size());
    return mac;
}

Secret<32> hkdf_sha256(ByteView salt, ByteView secret, std::initializer_list<ByteView> info) {
    Bytes whole_info;  // PSA takes it in one piece; it is no secret
    for (ByteView part : info) whole_info.insert(whole_info.end(), part.begin(), part.end());

    psa_key_derivation_operation_t operation = PSA_KEY_DERIVATION_OPERATION_INIT;
    MUST(psa_key_derivation_setup(&operation, PSA_ALG_HKDF(PSA_ALG_SHA_256)));
    MUST(psa_key_derivation_input_bytes(&operation, PSA_KEY_DERIVATION_INPUT_SALT, salt.data(),
                                        salt.size()));
    MUST(psa_key_derivation_input_bytes(&operation, PSA_KEY_DERIVATION_INPUT_SECRET, secret.data(),
                                        secret.size()));
    MUST(psa_key_derivation_input_bytes(&operation, PSA_KEY_DERIVATION_INPUT_INFO,
                                        whole_info.data(), whole_info.size()));
    Secret<32> out;
    MUST(psa_key_derivation_output_bytes(&operation, out.writable().data(), 32));
    psa_key_derivation_abort(&operation);
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
    PsaKey own;
    if (auto status = own.import(x25519_pair, PSA_KEY_USAGE_DERIVE, PSA_ALG_ECDH, key.view());
        status != PSA_SUCCESS)
        return fail_psa(ErrorCode::InvalidData, "the private key cannot be used", status);
    PublicKey out;
    std::size_t size = 0;
    auto status = psa_export_public_key(own.id(), out.bytes.data(), out.bytes.size(), &size);
    if (status != PSA_SUCCESS || size != out.bytes.size())
        return fail_psa(ErrorCode::Internal, "cannot compute a public key", status);
    return out;
}

Result<Secret<32>> x25519(const PrivateKey& own, const PublicKey& peer) {
    PsaKey imported;
    if (auto status = imported.import(x25519_pair, PSA_KEY_USAGE_DERIVE, PSA_ALG_ECDH, own.view());
        status != PSA_SUCCESS)
        return fail_psa(ErrorCode::InvalidData, "the private key cannot be used", status);
    Secret<32> shared;
    std::size_t size = 0;
    auto status = psa_raw_key_agreement(PSA_ALG_ECDH, imported.id(), peer.bytes.data(),
                                        peer.bytes.size(), shared.writable().data(), 32, &size);
    if (status != PSA_SUCCESS)
        return fail_psa(ErrorCode::Untrusted, "the peer's public key cannot be used", status);
    // The library refuses the points of low order one by one; the definition is this.
    static constexpr ByteArray<32> zero{};
    if (size != 32 || equal_in_constant_time(shared.view(), zero))
        return fail(ErrorCode::Untrusted, "the peer's public key is a point of low order");
    return shared;
}

bool verify_p256(const PointP256& signer, ByteView message, const Signature& signature) {
    constexpr psa_algorithm_t algorithm = PSA_ALG_ECDSA(PSA_ALG_SHA_256);
    PsaKey key;
    return key.import(p256_public, PSA_KEY_USAGE_VERIFY_MESSAGE, algorithm, signer) ==
               PSA_SUCCESS &&
           psa_verify_message(key.id(), algorithm, message.data(), message.size(), signature.data(),
                              signature.size()) == PSA_SUCCESS;
}

Bytes seal(const Secret<32>& key, const Nonce& nonce, ByteView plain) {
    PsaKey imported;
    MUST(imported.import(PSA_KEY_TYPE_CHACHA20, PSA_KEY_USAGE_ENCRYPT, chacha20_poly1305,
                         key.view()));
    Bytes sealed(plain.size() + tag_size);
    std::size_t size = 0;
    MUST(psa_aead_encrypt(imported.id(), chacha20_poly1305, nonce.data(), nonce.size(), nullptr, 0,
                          plain.data(), plain.size(), sealed.data(), sealed.size(), &size));
    ASSERT(size == sealed.size());
    return sealed;
}

Result<SecretBytes> open(const Secret<32>& key, const Nonce& nonce, ByteView sealed) {
    if (sealed.size() < tag_size) return fail(ErrorCode::Untrusted, "sealed bytes without a tag");
    PsaKey imported;
    MUST(imported.import(PSA_KEY_TYPE_CHACHA20, PSA_KEY_USAGE_DECRYPT, chacha20_poly1305,
                         key.view()));
    SecretBytes plain(sealed.size() - tag_size);
    std::size_t size = 0;
    auto status = psa_aead_decrypt(imported.id(), chacha20_poly1305, nonce.data(), nonce.size(),
                                   nullptr, 0, sealed.data(), sealed.size(),
                                   plain.writable().data(), plain.size(), &size);
    if (status != PSA_SUCCESS || size != plain.size())
        return fail_psa(ErrorCode::Untrusted, "sealed under another key, or altered", status);
    return plain;
}

}  // namespace fortros::crypto
