"""Reads what QEMU's filter-dump has captured, and says of each frame what it is. Sends nothing.

pcap savefile format: draft-ietf-opsawg-pcap, classic little-endian files of Ethernet frames.
"""

import collections
import dataclasses
import ipaddress
import pathlib
import struct

MAGIC = 0xA1B2C3D4
LINKTYPE_ETHERNET = 1
FILE_HEADER = struct.Struct("<IHHiIII")
RECORD_HEADER = struct.Struct("<IIII")
ETHERTYPE_IPV4, ETHERTYPE_IPV6 = 0x0800, 0x86DD
TCP, UDP, ICMP6 = 6, 17, 58
IPV6_EXTENSIONS = (0, 43, 60)  # hop-by-hop, routing, destination options
DNS_PORTS = {53, 853, 5353, 5355}  # with DNS over TLS, multicast DNS and LLMNR
DHCP_PORTS = {67, 68, 546, 547}
TLS_PORTS = {443}
WIREGUARD_TYPES = {1: "initiation", 2: "response", 3: "cookie", 4: "data"}


@dataclasses.dataclass(frozen=True)
class Packet:
    seconds: float  # since the epoch, by the machine that ran QEMU
    kind: str  # dns, dhcp, tls, wireguard, tcp, udp, icmp6, arp, other
    source: str = ""
    source_port: int = 0
    destination: str = ""
    destination_port: int = 0
    payload: bytes = b""  # of TCP and UDP

    def __str__(self):
        return (f"{self.kind} {self.source}:{self.source_port} > {self.destination}:{self.destination_port}"
                f" ({len(self.payload)} bytes)")


def packets(path):
    """Every packet of a capture, in order. A record that was cut off by a kill ends it."""
    data = pathlib.Path(path).read_bytes()
    if len(data) < FILE_HEADER.size:
        raise ValueError(f"{path}: no capture")
    magic, *_, link_type = FILE_HEADER.unpack_from(data)
    if magic != MAGIC or link_type != LINKTYPE_ETHERNET:
        raise ValueError(f"{path}: magic {magic:#x}, link type {link_type}: not a capture that we can read")
    offset = FILE_HEADER.size
    found = []
    while offset + RECORD_HEADER.size <= len(data):
        seconds, microseconds, length, _ = RECORD_HEADER.unpack_from(data, offset)
        offset += RECORD_HEADER.size
        frame = data[offset:offset + length]
        offset += length
        if len(frame) == length:
            found.append(_parse(frame, seconds + microseconds / 1e6))
    return found


def count(path):
    """How many packets of each kind."""
    return collections.Counter(packet.kind for packet in packets(path))


def _parse(frame, seconds):
    try:
        return _parse_ethernet(frame, seconds)
    except (struct.error, IndexError, ValueError):
        return Packet(seconds, "other")


def _parse_ethernet(frame, seconds):
    ethertype, offset = struct.unpack_from("!H", frame, 12)[0], 14
    if ethertype == 0x8100:  # one VLAN tag
        ethertype, offset = struct.unpack_from("!H", frame, 16)[0], 18
    if ethertype == ETHERTYPE_IPV4:
        return _parse_ipv4(frame[offset:], seconds)
    if ethertype == ETHERTYPE_IPV6:
        return _parse_ipv6(frame[offset:], seconds)
    return Packet(seconds, "arp" if ethertype == 0x0806 else "other")


def _parse_ipv4(packet, seconds):
    header = (packet[0] & 15) * 4
    total, fragment = struct.unpack_from("!HxxH", packet, 2)
    addresses = [str(ipaddress.IPv4Address(packet[at:at + 4])) for at in (12, 16)]
    if fragment & 0x1FFF:  # not the first piece: no ports in it
        return Packet(seconds, "other", addresses[0], 0, addresses[1], 0)
    return _parse_transport(packet[9], packet[header:total], addresses, seconds)


def _parse_ipv6(packet, seconds):
    length, protocol = struct.unpack_from("!HB", packet, 4)
    addresses = [str(ipaddress.IPv6Address(packet[at:at + 16])) for at in (8, 24)]
    rest = packet[40:40 + length]
    while protocol in IPV6_EXTENSIONS:
        protocol, rest = rest[0], rest[(rest[1] + 1) * 8:]
    return _parse_transport(protocol, rest, addresses, seconds)


def _parse_transport(protocol, segment, addresses, seconds):
    source, destination = addresses
    if protocol not in (TCP, UDP):
        return Packet(seconds, "icmp6" if protocol == ICMP6 else "other", source, 0, destination, 0)
    ports = struct.unpack_from("!HH", segment)
    payload = segment[8:] if protocol == UDP else segment[(segment[12] >> 4) * 4:]
    return Packet(seconds, _kind(protocol, set(ports), payload), source, ports[0], destination, ports[1], payload)


def _kind(protocol, ports, payload):
    if ports & DNS_PORTS:
        return "dns"
    if protocol == TCP:
        return "tls" if ports & TLS_PORTS else "tcp"
    if ports & DHCP_PORTS:
        return "dhcp"
    # Its type, three zero bytes, and for all but data a fixed length: no other protocol here looks so.
    if len(payload) >= 32 and payload[0] in WIREGUARD_TYPES and payload[1:4] == b"\0\0\0":
        return "wireguard"
    return "udp"
