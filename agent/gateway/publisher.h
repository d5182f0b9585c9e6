// The org document as this gateway publishes it: what the registry says of policy and revocations,
// signed. It decides nothing, and writes nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "core/org_document.h"
#include "gateway/registry.h"
#include "gateway/signer.h"

namespace fortros::gateway {

struct PublishedDocument {
    OrgDocument document;
    Bytes bytes{};  // signed
};

class Publisher {
public:
    // Registry and signer are borrowed.
    Publisher(OrgPrefix prefix, std::string domain, Registry& registry,
              const AttestationSigner& signer)
        : m_prefix(prefix), m_domain(std::move(domain)), m_registry(registry), m_signer(signer) {}

    // The newest document, good until the next call. It is signed anew when the registry's serial has
    // grown or the signer is another, and once an hour, for the revocations that nobody needs any more. Untrusted if the org
    // has disowned this gateway's own signer.
    Result<const PublishedDocument*> current(WallTime now);

private:
    OrgPrefix m_prefix;
    std::string m_domain;
    Registry& m_registry;
    const AttestationSigner& m_signer;
    std::optional<PublishedDocument> m_published{};
    WallTime m_signed_at{};
};

}  // namespace fortros::gateway
