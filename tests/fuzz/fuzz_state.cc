// Bytes from a UEFI variable as a node's state, as they are and with a frame and a checksum that are
// right: what is read must be written back as the same state.
#include "core/state.h"

#include "core/crypto.h"

using namespace fortros;

static void check(ByteView bytes) {
    const auto state = decode_state(bytes);
    if (!state) return;
    const Bytes written = encode(*state);
    ASSERT(written.size() <= state_size_limit);
    const auto again = decode_state(written);
    NodeState without_set = *state;
    without_set.bootstrap_set.clear();
    without_set.bootstrap_signer.clear();
    ASSERT(again && (*again == *state || *again == without_set));
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const bool ready = crypto::initialise().has_value();
    ASSERT(ready);
    check({data, size});
    if (size > state_size_limit) return 0;
    ByteWriter framed;
    framed.text("FORTROS\x01").u16(static_cast<std::uint16_t>(size)).bytes({data, size});
    const auto checksum = crypto::sha256({framed.view()});
    framed.bytes(ByteView(checksum).first(8));
    check(framed.view());
    return 0;
}
