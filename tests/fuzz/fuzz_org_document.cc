// Bytes of a gateway as an org document: what parses is written back as the same bytes, and nothing that
// its signer has not signed is believed.
#include "core/org_document.h"

#include <algorithm>

using namespace fortros;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const bool ready = crypto::initialise().has_value();
    ASSERT(ready);
    const ByteView bytes{data, size};
    const auto document = parse_org_document(bytes);
    if (!document) return 0;
    const Bytes again = document_bytes_to_sign(*document);
    ASSERT(std::ranges::equal(again, bytes.first(size - sizeof(crypto::Signature))));
    const std::vector signers = {Signer{.id = document->signer, .not_after = WallTime::max()}};
    ASSERT(!check_org_document(bytes, signers, {}));
    return 0;
}
