#include "core/udp_packet.h"

#include <doctest/doctest.h>

#include "base/encoding.h"

using namespace fortros;

static IpAddress address(std::string_view text) { return *IpAddress::parse(text); }

static Bytes a_packet(ByteView payload) {
    return encode(UdpPacket{.source = address("192.0.2.1"),
                            .destination = address("192.0.2.77"),
                            .source_port = 67,
                            .destination_port = 68,
                            .payload = payload});
}

static bool accepted(ByteView packet, UdpChecksum checksum = UdpChecksum::Verify) {
    return decode_udp(packet, checksum).has_value();
}

// DHCP would be mute: nobody else frames its packets before there is an address.
TEST_CASE("a UDP packet survives the wire, whatever its size") {
    for (const std::size_t size : {0U, 1U, 2U, 300U, 1471U, 1472U}) {
        CAPTURE(size);
        const Bytes payload(size, 0xa5);
        const Bytes packet = a_packet(payload);
        CHECK(packet.size() == size + udp_packet_overhead);
        const auto back = decode_udp(packet, UdpChecksum::Verify);
        REQUIRE(back.has_value());
        CHECK(back->source == address("192.0.2.1"));
        CHECK(back->destination == address("192.0.2.77"));
        CHECK(back->source_port == 67);
        CHECK(back->destination_port == 68);
        CHECK(Bytes(back->payload.begin(), back->payload.end()) == payload);
    }
}

// Captured on a veth from a kernel's UDP socket. The checksum there is only the pseudo header's sum
// (0x846b), for a network card to finish; 0xb69f is what it would have made of it.
TEST_CASE("a packet made by a kernel is understood and made alike") {
    const Bytes captured =
        *from_hex("4500001f3fc64000401176b9c0000201c000024d00430044000b846b616263");
    CHECK_FALSE(accepted(captured, UdpChecksum::Verify));
    const auto packet = decode_udp(captured, UdpChecksum::NotReady);
    REQUIRE(packet.has_value());
    CHECK(as_text(packet->payload) == "abc");
    const Bytes ours = a_packet(as_bytes("abc"));
    CHECK(to_hex(ByteView(ours).subspan(20)) == "00430044000bb69f616263");
}

// A bit that fell over on a bad cable may not become an address.
TEST_CASE("a changed packet is refused, unless its checksum was never made") {
    const Bytes good = a_packet(as_bytes("payload"));
    for (std::size_t at = 0; at < good.size(); ++at) {
        CAPTURE(at);
        Bytes bad = good;
        bad[at] ^= 0x10;
        CHECK_FALSE(accepted(bad));
    }
    Bytes offloaded = good;
    offloaded[26] ^= 0xff;  // in the UDP checksum, as a virtual wire leaves it
    CHECK_FALSE(accepted(offloaded));
    CHECK(accepted(offloaded, UdpChecksum::NotReady));
    Bytes without = good;
    without[26] = without[27] = 0;  // the sender made none (RFC 768)
    CHECK(accepted(without));
}

// Lengths come from the wire: none may lead outside of the packet.
TEST_CASE("a packet whose lengths contradict each other is refused") {
    const Bytes good = a_packet(as_bytes("payload"));
    for (std::size_t size = 0; size < good.size(); ++size)
        CHECK_FALSE(accepted(ByteView(good).first(size), UdpChecksum::NotReady));
    Bytes short_udp = good;
    short_udp[25] = 7;
    CHECK_FALSE(accepted(short_udp, UdpChecksum::NotReady));
    Bytes long_udp = good;
    long_udp[25] = static_cast<std::uint8_t>(long_udp[25] + 1);
    CHECK_FALSE(accepted(long_udp, UdpChecksum::NotReady));
}

// A checksum of 0 on the wire means that there is none: the receiver would not look.
TEST_CASE("a checksum that comes out as 0 is sent as its other zero") {
    for (unsigned value = 0; value <= UINT16_MAX; ++value) {
        const Bytes packet = a_packet(ByteWriter().u16(static_cast<std::uint16_t>(value)).view());
        REQUIRE((packet[26] | packet[27]) != 0);
        if (packet[26] == 0xff && packet[27] == 0xff) CHECK(accepted(packet));
    }
}

// A datagram may be shorter than the packet says; what is between is nobody's.
TEST_CASE("the payload ends where the UDP header says") {
    Bytes packet = a_packet(as_bytes("payload"));
    packet[25] = 8 + 3;
    const auto udp = decode_udp(packet, UdpChecksum::NotReady);
    REQUIRE(udp.has_value());
    CHECK(as_text(udp->payload) == "pay");
}

// Ethernet pads short frames; the padding is not part of the message.
TEST_CASE("what follows the packet is ignored") {
    Bytes padded = a_packet(as_bytes("abc"));
    padded.resize(padded.size() + 15);
    const auto packet = decode_udp(padded, UdpChecksum::Verify);
    REQUIRE(packet.has_value());
    CHECK(as_text(packet->payload) == "abc");
}

// IP options are rare and legal; a parser that assumes 20 bytes reads ports from them.
TEST_CASE("an IP header with options is skipped whole") {
    const Bytes packet =
        *from_hex("460000233fc74000401173b2c0000201c000024d0101010100430044000bb69f616263");
    const auto udp = decode_udp(packet, UdpChecksum::Verify);
    REQUIRE(udp.has_value());
    CHECK(udp->destination_port == 68);
}
