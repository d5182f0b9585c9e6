// X.509 certificates as mbedTLS has them, told in our own terms: what a leaf says of itself, at
// which time a chain is judged, and why it was refused. Who may be a gateway or a signer is decided
// elsewhere (core/gateway_identity.h, os/trust.h).
#pragma once

#include <mbedtls/x509_crt.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "core/clock_rule.h"
#include "core/gateway_identity.h"

namespace fortros {

// ECDSA on P-256 and P-384 with SHA-256, SHA-384 or SHA-512, and nothing else.
extern const mbedtls_x509_crt_profile certificate_profile;

// The end of a sentence about a certificate that is of another kind.
inline constexpr std::string_view not_accepted_words =
    "has a kind of key or signature that is not accepted (ECDSA on P-256 or P-384 is)";

WallTime wall_time_of(const mbedtls_x509_time& time);

// The curve of an EC key, MBEDTLS_ECP_DP_NONE for another kind of key.
mbedtls_ecp_group_id curve_of(const mbedtls_x509_crt& certificate);

// Whether mbedTLS could not read a certificate for its kind of key or signature, which ours has no
// code for (see the wrap's mbedtls_config.h): the certificate is not damaged.
bool is_of_unknown_kind(int parse_error);

// A distinguished name, printable.
std::string text_of(const mbedtls_x509_name& name);

// What the leaf says of itself; the dates are its own alone.
LeafFacts facts_of(const mbedtls_x509_crt& leaf);

// Judges the dates of a chain at a time that is given, where mbedTLS would ask the system's clock,
// and remembers what it has seen. Give `callback` and the judge to mbedTLS's verification, which
// calls it for every certificate from the anchor down to the leaf.
class ChainJudge {
public:
    explicit ChainJudge(CertificateTime time) : m_time(time) {}

    static int callback(void* judge, mbedtls_x509_crt* certificate, int depth,
                        std::uint32_t* flags);

    // Of the leaf, with the dates of the whole chain. Meaningful once has_seen_leaf().
    const LeafFacts& leaf() const { return m_leaf; }
    bool has_seen_leaf() const { return m_has_seen_leaf; }

    // Why a verification that left these flags failed, in plain words; `whose` begins the sentence:
    // "the gateway's certificate".
    Error refusal(std::uint32_t flags, std::string_view whose) const;

private:
    struct Seen {
        WallTime not_before;
        WallTime not_after;
        std::string subject;
    };

    void look_at(const mbedtls_x509_crt& certificate, int depth, std::uint32_t& flags);
    std::uint32_t judge_dates(const Seen& certificate, WallTime now, bool is_leaf);

    CertificateTime m_time;
    std::vector<Seen> m_chain;  // from the anchor down
    LeafFacts m_leaf;
    bool m_has_seen_leaf = false;
    std::string m_issuer;        // of the certificate that no anchor vouches for
    std::string m_date_problem;  // of the certificate nearest to the leaf
};

}  // namespace fortros
