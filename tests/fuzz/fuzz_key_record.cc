// Bytes from a UEFI variable or a file as a node's key, as they are and with a frame and a checksum
// that are right.
#include "core/crypto.h"
#include "os/stores.h"

using namespace fortros;

static void check(ByteView bytes) {
    const auto key = decode_key_record(bytes);
    if (!key) return;
    const SecretBytes again = encode_key_record(*key);
    ASSERT(equal_in_constant_time(again.view(), bytes));
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const bool ready = crypto::initialise().has_value();
    ASSERT(ready);
    check({data, size});
    ByteWriter framed;
    framed.text("FORTKEY\x01").bytes({data, size});
    const auto checksum = crypto::sha256({framed.view()});
    framed.bytes(ByteView(checksum).first(8));
    check(framed.view());
    return 0;
}
