"""Packets that no honest node sends, and where they arrive. The tool is build/out/tests/net/raw-packets.

    watch = Watch(bed, "home", 9999)
    send(bed, "vps", udp(bed.addresses["desk1"], bed.addresses["home"], 9999), interface="fortros0")
    assert watch.count() == 0
"""

import ipaddress
import pathlib
import struct

RAW_PACKETS = pathlib.Path(__file__).resolve().parents[2] / "build/out/tests/net/raw-packets"
UDP = 17
IPV6 = struct.Struct("!IHBB16s16s")
UDP_HEADER = struct.Struct("!HHHH")
HOP_LIMIT = 64
SETTLED_S = 2  # more than any path in the bed takes


def udp(source, destination, port, payload=b"forged", source_port=None):
    """An IPv6 packet with a datagram in it, its checksum right."""
    addresses = ipaddress.IPv6Address(source).packed, ipaddress.IPv6Address(destination).packed
    ports, size = (source_port or port, port), UDP_HEADER.size + len(payload)
    pseudo = b"".join(addresses) + struct.pack("!II", size, UDP)
    checksum = _checksum(pseudo + UDP_HEADER.pack(*ports, size, 0) + payload)
    return (IPV6.pack(6 << 28, size, UDP, HOP_LIMIT, *addresses)
            + UDP_HEADER.pack(*ports, size, checksum) + payload)


def with_payload(packet, change):
    """A datagram that was recorded, with another payload."""
    _, _, _, _, source, destination = IPV6.unpack_from(packet)
    source_port, port, _, _ = UDP_HEADER.unpack_from(packet, IPV6.size)
    return udp(ipaddress.IPv6Address(source), ipaddress.IPv6Address(destination), port,
               change(packet[IPV6.size + UDP_HEADER.size:]), source_port)


def parties(packet):
    """Source and destination of an IPv6 packet."""
    _, _, _, _, source, destination = IPV6.unpack_from(packet)
    return str(ipaddress.IPv6Address(source)), str(ipaddress.IPv6Address(destination))


def _checksum(data):
    total = sum(word for word, in struct.iter_unpack("!H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff or 0xffff


def send(bed, place, *packets, interface=""):
    """From a namespace, as they are; bound to an interface, or as the routes there lead."""
    lines = "\n".join(packet.hex() for packet in packets)
    bed.run(f"ip netns exec {place} raw-packets send {interface} <<'end'\n{lines}\nend")


def inject(bed, place, link, victim, *packets):
    """Past every tunnel, as frames to the victim's uplink; `link`: of the place, to the victim's network."""
    mac = bed.run(f"ip netns exec {victim} cat /sys/class/net/uplink/address").strip()
    targets = {parties(packet)[1] for packet in packets}
    for target in targets:
        bed.run(f"ip -n {place} -6 route replace {target} dev {link} && "
                f"ip -n {place} -6 neigh replace {target} lladdr {mac} dev {link} nud permanent")
    try:
        send(bed, place, *packets, interface=link)
    finally:
        for target in targets:
            bed.run(f"ip -n {place} -6 route del {target} dev {link}; ip -n {place} -6 neigh del {target} dev {link}",
                    check=False)


class Watch:
    """Counts datagrams for a port in one namespace: at the first hook, before the guard, and where a program of the
    node would get them, behind everything."""

    def __init__(self, bed, place, port):
        self._bed, self._place, self._table = bed, place, f"watch{port}"
        rule = f"meta nfproto ipv6 udp dport {port} counter"
        bed.run(f"""ip netns exec {place} nft -f - <<'end'
            table inet {self._table} {{
                chain arrived {{
                    type filter hook prerouting priority -400
                    {rule}
                }}
                chain accepted {{
                    type filter hook input priority 400
                    {rule}
                }}
                chain relayed {{
                    type filter hook forward priority 400
                    {rule}
                }}
            }}\nend""")

    def counts(self):
        """(arrived, accepted, relayed), once what is on its way has arrived."""
        self._bed.run(f"sleep {SETTLED_S}")
        words = self._bed.at(self._place, f"nft list table inet {self._table}").split()
        return tuple(int(words[i + 1]) for i, word in enumerate(words) if word == "packets")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._bed.at(self._place, f"nft delete table inet {self._table}")
