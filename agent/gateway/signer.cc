#include "gateway/signer.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>

#include "gateway/certificate.h"

namespace fortros::gateway {

namespace {

// OpenSSL gives a DER SEQUENCE of two INTEGERs; the attestation has two numbers of fixed width.
Result<crypto::Signature> fixed_width(ByteView der) {
    const auto* position = der.data();
    const OpenSsl<ECDSA_SIG> parsed(
        d2i_ECDSA_SIG(nullptr, &position, static_cast<long>(der.size())));
    crypto::Signature signature;
    if (!parsed || BN_bn2binpad(ECDSA_SIG_get0_r(parsed.get()), signature.data(), 32) != 32 ||
        BN_bn2binpad(ECDSA_SIG_get0_s(parsed.get()), signature.data() + 32, 32) != 32)
        return fail_openssl(ErrorCode::Internal, "cannot read our own signature");
    return signature;
}

class OpenSslSigner final : public AttestationSigner {
public:
    OpenSslSigner(Signer facts, Bytes certificate, OpenSsl<EVP_PKEY> key)
        : m_facts(facts), m_certificate(std::move(certificate)), m_key(std::move(key)) {}

    const Signer& facts() const override { return m_facts; }
    const Bytes& certificate() const override { return m_certificate; }

    Result<crypto::Signature> sign(ByteView message) const override {
        const OpenSsl<EVP_MD_CTX> context(EVP_MD_CTX_new());
        std::uint8_t der[80];  // a P-256 signature has at most 72
        std::size_t size = sizeof(der);
        if (!context ||
            EVP_DigestSignInit_ex(context.get(), nullptr, "SHA256", nullptr, nullptr, m_key.get(),
                                  nullptr) != 1 ||
            EVP_DigestSign(context.get(), der, &size, message.data(), message.size()) != 1)
            return fail_openssl(ErrorCode::Internal, "the signer cannot sign");
        return fixed_width({der, size});
    }

private:
    Signer m_facts;
    Bytes m_certificate;
    OpenSsl<EVP_PKEY> m_key;
};

}  // namespace

static Result<Bytes> with_signature(const AttestationSigner& signer, Bytes bytes) {
    const auto signature = TRY(signer.sign(bytes));
    bytes.insert(bytes.end(), signature.begin(), signature.end());
    return bytes;
}

Result<Bytes> sign_attestation(const AttestationSigner& signer, Attestation attestation) {
    attestation.signer = signer.facts().id;
    return with_signature(signer, attestation_bytes_to_sign(attestation));
}

Result<Bytes> sign_bootstrap_set(const AttestationSigner& signer, BootstrapSet set) {
    set.signer = signer.facts().id;
    return with_signature(signer, bootstrap_bytes_to_sign(set));
}

Result<Bytes> sign_org_document(const AttestationSigner& signer, OrgDocument document) {
    document.signer = signer.facts().id;
    return with_signature(signer, document_bytes_to_sign(document));
}

Result<std::unique_ptr<AttestationSigner>> make_signer(X509* certificate, OpenSsl<EVP_PKEY> key) {
    EVP_PKEY* own = X509_get0_pubkey(certificate);
    char group[32] = {};
    Signer facts;
    std::size_t size = 0;
    if (own == nullptr ||
        EVP_PKEY_get_utf8_string_param(own, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group),
                                       nullptr) != 1 ||
        std::string_view(group) != "prime256v1" ||
        EVP_PKEY_get_octet_string_param(own, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, facts.key.data(),
                                        facts.key.size(), &size) != 1 ||
        size != facts.key.size())
        return fail_openssl(ErrorCode::InvalidData, "the signer's key is not P-256");
    if (EVP_PKEY_eq(own, key.get()) != 1)
        return fail_openssl(ErrorCode::InvalidData,
                            "the signer's private key does not belong to its certificate");
    Bytes der = TRY(der_of(certificate));
    facts.id = signer_id_of(der);
    facts.not_before = TRY(not_before_of(certificate));
    facts.not_after = TRY(not_after_of(certificate));
    return std::make_unique<OpenSslSigner>(facts, std::move(der), std::move(key));
}

}  // namespace fortros::gateway
