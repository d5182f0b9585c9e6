// Bytes from flash as a bootstrap set: what parses is written back as the same bytes, and nothing
// that its signer has not signed is believed.
#include "core/bootstrap_set.h"

#include <algorithm>

using namespace fortros;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const bool ready = crypto::initialise().has_value();
    ASSERT(ready);
    const ByteView bytes{data, size};
    const auto set = parse_bootstrap_set(bytes);
    if (!set) return 0;
    const Bytes again = bootstrap_bytes_to_sign(*set);
    ASSERT(std::ranges::equal(again, bytes.first(size - sizeof(crypto::Signature))));
    const std::vector signers = {Signer{.id = set->signer, .not_after = WallTime::max()}};
    ASSERT(!check_bootstrap_set(bytes, signers, set->prefix, set->node, set->not_after));
    ASSERT(!should_replace(*set, *set, {}));
    return 0;
}
