#include "core/udp_packet.h"

namespace fortros {

static constexpr std::size_t ip_header_size = 20;
static constexpr std::size_t udp_header_size = 8;
static constexpr std::uint8_t protocol_udp = 17;
static constexpr std::uint8_t time_to_live = 64;
static constexpr std::uint16_t dont_fragment = 0x4000;
static constexpr std::uint16_t fragment_bits = 0x3fff;  // more fragments, fragment offset

// The sum of RFC 1071, not yet folded. Only the last part of a checksum may have an odd size.
static std::uint32_t add(std::uint32_t sum, ByteView bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) sum += i % 2 == 0 ? bytes[i] << 8 : bytes[i];
    return sum;
}

static std::uint16_t folded(std::uint32_t sum) {
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(~sum);
}

// Over the pseudo header, the UDP header and the payload (RFC 768).
static std::uint16_t udp_checksum(const IpAddress& source, const IpAddress& destination,
                                  ByteView datagram) {
    std::uint32_t sum = add(0, source.bytes());
    sum = add(sum, destination.bytes());
    sum += protocol_udp;
    sum += static_cast<std::uint32_t>(datagram.size());
    return folded(add(sum, datagram));
}

static Bytes udp_datagram(const UdpPacket& packet, std::uint16_t checksum) {
    ByteWriter out;
    out.u16(packet.source_port).u16(packet.destination_port);
    out.u16(static_cast<std::uint16_t>(udp_header_size + packet.payload.size()));
    out.u16(checksum).bytes(packet.payload);
    return out.take();
}

static Bytes ip_header(const UdpPacket& packet, std::uint16_t checksum) {
    ByteWriter out;
    out.u8(0x45).u8(0);
    out.u16(static_cast<std::uint16_t>(udp_packet_overhead + packet.payload.size()));
    out.u16(0).u16(dont_fragment).u8(time_to_live).u8(protocol_udp).u16(checksum);
    out.bytes(packet.source.bytes()).bytes(packet.destination.bytes());
    return out.take();
}

Bytes encode(const UdpPacket& packet) {
    ASSERT(packet.source.is_v4() && packet.destination.is_v4());
    ASSERT(packet.payload.size() <= UINT16_MAX - udp_packet_overhead);
    std::uint16_t checksum =
        udp_checksum(packet.source, packet.destination, udp_datagram(packet, 0));
    if (checksum == 0) checksum = 0xffff;  // 0 would mean: none
    Bytes bytes = ip_header(packet, folded(add(0, ip_header(packet, 0))));
    const Bytes datagram = udp_datagram(packet, checksum);
    bytes.insert(bytes.end(), datagram.begin(), datagram.end());
    return bytes;
}

static std::unexpected<Error> malformed(const char* why) {
    return fail(ErrorCode::InvalidData, "not a whole UDP packet", why);
}

Result<UdpPacket> decode_udp(ByteView packet, UdpChecksum verify) {
    if (packet.size() < ip_header_size || packet[0] >> 4 != 4) return malformed("not IPv4");
    const std::size_t header_size = std::size_t{4} * (packet[0] & 15U);
    ByteReader in(packet.subspan(2));
    const std::size_t size = in.u16();
    in.u16();  // identification
    const bool is_fragment = (in.u16() & fragment_bits) != 0;
    in.u8();  // time to live
    const std::uint8_t protocol = in.u8();
    in.u16();  // checksum, verified below with all the rest
    UdpPacket out;
    out.source = IpAddress::v4(in.array<4>());
    out.destination = IpAddress::v4(in.array<4>());
    if (header_size < ip_header_size || size < header_size || size > packet.size())
        return malformed("IPv4 lengths");
    if (folded(add(0, packet.first(header_size))) != 0) return malformed("IPv4 checksum");
    if (protocol != protocol_udp || is_fragment) return malformed("not UDP, or a fragment");

    const ByteView datagram = packet.first(size).subspan(header_size);
    ByteReader udp(datagram);
    out.source_port = udp.u16();
    out.destination_port = udp.u16();
    const std::size_t udp_size = udp.u16();
    const std::uint16_t checksum = udp.u16();
    if (!udp.ok() || udp_size < udp_header_size || udp_size > datagram.size())
        return malformed("UDP length");
    // A checksum of 0 means that the sender made none.
    if (verify == UdpChecksum::Verify && checksum != 0 &&
        udp_checksum(out.source, out.destination, datagram.first(udp_size)) != 0)
        return malformed("UDP checksum");
    out.payload = datagram.first(udp_size).subspan(udp_header_size);
    return out;
}

}  // namespace fortros
