// The key that signs membership attestations, bootstrap sets and the org document, and the certificate
// that says it may. It signs what it is given and decides nothing.
#pragma once

#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "core/attestation.h"
#include "core/bootstrap_set.h"
#include "core/org_document.h"
#include "gateway/openssl.h"

namespace fortros::gateway {

class AttestationSigner {
public:
    AttestationSigner() = default;
    AttestationSigner(const AttestationSigner&) = delete;
    AttestationSigner& operator=(const AttestationSigner&) = delete;
    virtual ~AttestationSigner() = default;

    virtual const Signer& facts() const = 0;
    virtual const Bytes& certificate() const = 0;  // DER

    // ECDSA P-256 with SHA-256 over `message`.
    virtual Result<crypto::Signature> sign(ByteView message) const = 0;
};

// The signer of the moment: who borrows it signs with the newest one that it was given.
class CurrentSigner final : public AttestationSigner {
public:
    void set(std::unique_ptr<AttestationSigner> signer) { m_signer = std::move(signer); }

    // Of a signer that was set.
    const Signer& facts() const override { return m_signer->facts(); }
    const Bytes& certificate() const override { return m_signer->certificate(); }
    Result<crypto::Signature> sign(ByteView message) const override {
        return m_signer->sign(message);
    }

private:
    std::unique_ptr<AttestationSigner> m_signer{};
};

// The attestation's bytes, signed. The caller has set everything but the signer.
Result<Bytes> sign_attestation(const AttestationSigner& signer, Attestation attestation);

// As above, of a bootstrap set.
Result<Bytes> sign_bootstrap_set(const AttestationSigner& signer, BootstrapSet set);

// As above, of an org document.
Result<Bytes> sign_org_document(const AttestationSigner& signer, OrgDocument document);

// A signer whose key is in memory. InvalidData if the certificate's key is not P-256 or is not the
// given key's public half.
Result<std::unique_ptr<AttestationSigner>> make_signer(X509* certificate, OpenSsl<EVP_PKEY> key);

}  // namespace fortros::gateway
