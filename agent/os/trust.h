// The pinned trust anchors: the one to four CA certificates that come with the image, and what is
// verified against them outside of TLS. Nothing else is ever trusted, and nothing is fetched.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "core/enrolment.h"

struct mbedtls_x509_crt;  // NOLINT(readability-identifier-naming): mbedTLS's own name

namespace fortros {

class TrustAnchors final : public SignerVerifier {
public:
    static constexpr std::size_t count_limit = 4;
    static constexpr std::size_t file_limit = std::size_t{64} * 1024;

    // Reads a PEM file. NotFound, or InvalidData with the file's name and what is wrong in it: no
    // certificate, too many, one that is no CA or whose key is not P-256 or P-384, a private key.
    static Result<std::unique_ptr<TrustAnchors>> load(const std::string& path);
    // The same for a text; `file` is only for error messages.
    static Result<std::unique_ptr<TrustAnchors>> parse(std::string_view pem,
                                                       const std::string& file);
    // As a hand-off carries them, DER; the same errors.
    static Result<std::unique_ptr<TrustAnchors>> of(const std::vector<Bytes>& certificates);
    ~TrustAnchors() override;

    std::size_t count() const { return m_count; }
    std::vector<Bytes> certificates() const;  // DER
    // For the clock rule: the newest notBefore and the latest notAfter among the anchors.
    WallTime newest_not_before() const { return m_newest_not_before; }
    WallTime latest_not_after() const { return m_latest_not_after; }

    // A certificate that may sign attestations: issued by an anchor, in force at `now`, an end
    // entity with a P-256 key, with no other extended key usage than ours and no dNSName, so that
    // no signer can pose as a gateway. Untrusted otherwise, with the reason.
    Result<Signer> verify(ByteView certificate_der, WallTime now) const override;

    // For os/tls.h: the anchors as mbedTLS has them.
    mbedtls_x509_crt* chain() const { return m_chain.get(); }

private:
    struct Free {
        void operator()(mbedtls_x509_crt* chain) const;
    };
    using Chain = std::unique_ptr<mbedtls_x509_crt, Free>;

    explicit TrustAnchors(Chain chain);
    static Result<std::unique_ptr<TrustAnchors>> make(const std::vector<ByteView>& certificates,
                                                      const std::string& file);

    Chain m_chain;
    std::size_t m_count = 0;
    WallTime m_newest_not_before{};
    WallTime m_latest_not_after{};
};

}  // namespace fortros
