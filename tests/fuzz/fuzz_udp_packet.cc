// Whatever a packet socket shows.
#include "base/result.h"
#include "core/udp_packet.h"

using namespace fortros;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView packet{data, size};
    const auto unchecked = decode_udp(packet, UdpChecksum::NotReady);
    const auto checked = decode_udp(packet, UdpChecksum::Verify);
    ASSERT(!checked || unchecked);
    if (!unchecked) return 0;
    ASSERT(unchecked->payload.size() + udp_packet_overhead <= size);
    const Bytes again = encode(*unchecked);
    ASSERT(decode_udp(again, UdpChecksum::Verify).has_value());
    return 0;
}
