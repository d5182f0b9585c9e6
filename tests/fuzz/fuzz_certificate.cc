// A certificate (DER) as a stranger may send it: read as a gateway's leaf, pinned as an anchor, and
// verified as a signer's against itself.
#include <cstdlib>

#include "base/encoding.h"
#include "core/crypto.h"
#include "core/gateway_identity.h"
#include "os/certificate.h"
#include "os/trust.h"

using namespace fortros;

static void read_leaf(ByteView der) {
    mbedtls_x509_crt certificate;
    mbedtls_x509_crt_init(&certificate);
    if (mbedtls_x509_crt_parse_der(&certificate, der.data(), der.size()) == 0) {
        const LeafFacts facts = facts_of(certificate);
        const auto key = check_leaf(facts, "gateway.example.org");
        ASSERT(!key || (!facts.is_ca && facts.has_server_auth && !facts.has_any_usage));
        (void)text_of(certificate.subject);
        (void)curve_of(certificate);
    }
    mbedtls_x509_crt_free(&certificate);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const bool ready = crypto::initialise().has_value();
    ASSERT(ready);
    const ByteView der(data, size);
    read_leaf(der);
    const std::string pem =
        "-----BEGIN CERTIFICATE-----\n" + to_base64(der) + "\n-----END CERTIFICATE-----\n";
    if (const auto anchors = TrustAnchors::parse(pem, "anchor.pem")) {
        // A CA certificate is never a signer's.
        ASSERT(!(*anchors)->verify(der, (*anchors)->newest_not_before()));
    }
    return 0;
}
