// X.509 certificates and keys in PEM files, as OpenSSL reads them, and the facts in them that we
// ask for. It judges a chain against the org CA and nothing else.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "core/gateway_identity.h"
#include "gateway/openssl.h"

namespace fortros::gateway {

using Certificates = std::vector<OpenSsl<X509>>;

inline constexpr std::size_t certificates_in_file_limit = 8;

// Every certificate of a PEM file, in order; at least one. Other blocks are an error: a private key
// does not belong beside certificates that are handed out.
Result<Certificates> load_certificates(const std::string& path);

// The one unencrypted private key of a PEM file.
Result<OpenSsl<EVP_PKEY>> load_private_key(const std::string& path);

Result<Bytes> der_of(X509* certificate);
Result<WallTime> not_before_of(X509* certificate);
Result<WallTime> not_after_of(X509* certificate);
std::string subject_of(X509* certificate);

// What core/gateway_identity.h wants to know of a leaf. The dates are those of the leaf alone.
Result<LeafFacts> leaf_facts_of(X509* leaf);

// Whether `leaf`, with the help of `intermediates`, chains to one of `anchors`. Dates are not
// looked at: who asks has an opinion on the clock. Untrusted with OpenSSL's reason.
Status verify_chain(X509* leaf, std::span<const OpenSsl<X509>> intermediates,
                    const Certificates& anchors);

// Whether the certificate is what certs/ issues for a signer: an end entity with the extended key
// usage of core/attestation.h and no other, and no dNSName. Untrusted with the reason.
Status check_signer_profile(X509* certificate);

}  // namespace fortros::gateway
