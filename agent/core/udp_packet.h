// A UDP datagram inside an IPv4 packet (RFC 768, 791), for who must speak before the host has an
// address. It fragments nothing, reassembles nothing and knows no IP options of its own.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"
#include "core/address.h"

namespace fortros {

// Bytes that the two headers add to a payload.
inline constexpr std::size_t udp_packet_overhead = 28;

struct UdpPacket {
    IpAddress source;  // both IPv4
    IpAddress destination;
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
    ByteView payload{};  // borrowed
};

// The whole packet, with both checksums. The payload is at most 65,507 bytes.
Bytes encode(const UdpPacket& packet);

// Whether a datagram's UDP checksum says something. On a virtual wire a packet may arrive before
// its checksum was ever filled in, marked so by the kernel (linux/if_packet.h:
// TP_STATUS_CSUMNOTREADY).
enum class UdpChecksum { Verify, NotReady };

// Borrows the payload from `packet`. InvalidData for a fragment, a wrong checksum, lengths that
// contradict each other, and anything but UDP over IPv4. What follows the packet (padding of short
// Ethernet frames) is ignored.
Result<UdpPacket> decode_udp(ByteView packet, UdpChecksum checksum);

}  // namespace fortros
