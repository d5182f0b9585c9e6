// Bytes from anybody as a membership attestation: what parses is written back as the same bytes, and
// nothing that its signer has not signed is believed.
#include "core/attestation.h"

#include <algorithm>

using namespace fortros;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const bool ready = crypto::initialise().has_value();
    ASSERT(ready);
    const ByteView bytes{data, size};
    const auto attestation = parse_attestation(bytes);
    if (!attestation) return 0;
    ASSERT(size == attestation_size);
    const Bytes again = attestation_bytes_to_sign(*attestation);
    ASSERT(std::ranges::equal(again, bytes.first(size - sizeof(crypto::Signature))));
    const std::vector signers = {Signer{.id = attestation->signer, .not_after = WallTime::max()}};
    ASSERT(!check_attestation(bytes, signers, attestation->prefix, attestation->not_after));
    return 0;
}
