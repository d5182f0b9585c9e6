"""A node with two cables of which the better one, by the routes, leads into a dead line: WireGuard must come up
by the other, in the real kernels of node and gateway.

    node eth0 ───── stub: DHCP, a router, and nothing behind it
         eth1 ───── world: the gateway. This cable is plugged in when the node has begun to search by the other

One world and one node with the same NVRAM through all boots:

  first    enrols, by public DNS
  second   the gateway answers; the remembered tunnel has begun by the dead line
  third    the gateway serves no HTTPS; its kernel's WireGuard works
"""

import atexit
import dataclasses
import functools
import pathlib
import re
import tempfile

from lib import image, pcap, preboot_console, qemu
from lib.node import BOOT_TIMEOUT_S, Node
from lib.org import Org
from lib.world import GATEWAY_ADDRESS, GATEWAY_NAME, PUBLIC_RESOLVER, World

TIME_LIMIT_S = 900
TAKES_S = 150
DEAD_MAC, GOOD_MAC = "52:54:00:f0:00:02", "52:54:00:f0:00:03"
SETTINGS = f"""[Organisation]
GatewayName={GATEWAY_NAME}
[Discovery]
PublicResolvers={PUBLIC_RESOLVER}
[Failure]
TotalTimeout=60s
"""
GO_ON = "fortros-init.on_failure=continue"
# For the boot that uses all of it up.
SHORT = "fortros.timeout=40s"
PINGS = 3


@dataclasses.dataclass
class Boot:
    """What one boot came to."""

    verdict: preboot_console.Verdict
    events: list
    hand_off: dict
    way: str  # the link by which the routes lead to the gateway, in the real root
    pings_answered: int
    dead: list  # packets on the dead cable
    good: list  # on the other

    def has(self, event):
        return any(entry["event"] == event for entry in self.events)


def wireguard(packets, kind):
    return [packet for packet in packets if packet.kind == "wireguard" and pcap.WIREGUARD_TYPES[packet.payload[0]] == kind]


@functools.cache
def boots():
    """All boots by their names."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="up-"))
    dead, good = qemu.Cable(folder, "dead"), qemu.Cable(folder, "good")
    org = Org.make(folder / "org", GATEWAY_NAME)
    world = World(folder / "world", good.b, {"honest": (org, org.gateway(folder / "gateway"))}, stub=dead.b)
    atexit.register(world.stop)
    settings = folder / "node.conf"
    settings.write_text(SETTINGS)
    with world:
        world.start_resolvers()
        world.start_gateway("honest")
        make = functools.partial(image.build, settings=settings, ca=org.ca, invite=world.create_invite())
        uki = make(folder / "node.efi", command_line=GO_ON)
        short = make(folder / "short.efi", command_line=f"{GO_ON} {SHORT}")
        node = Node(folder / "node")
        done = {name: join(node, name, uki, dead.a, good.a) for name in ("first", "second")}
        world.stop_gateway()
        done["third"] = join(node, "third", short, dead.a, good.a)
    return done


def join(node, name, uki, dead, good):
    captures = [node.folder / f"{name}.{cable}.pcap" for cable in ("dead", "good")]
    nics = [qemu.Nic(dead, DEAD_MAC, captures[0]), qemu.Nic(good, GOOD_MAC, captures[1], carrier=False)]
    with node.boot(name, uki, nics=nics) as running:
        running.machine.expect(r"\[3/9\] links: eth0", BOOT_TIMEOUT_S)
        running.machine.set_carrier(1, True)
        running.wait_for_real_root()
        verdict = running.verdict()
        hand_off, pings = {}, 0
        if verdict.name in ("joined", "no-handshake"):
            hand_off = running.hand_off()
            pings = ping(running, hand_off["peers"][0]["overlay_address"])
        events = running.events()
        way = running.run(f"/bin/ip route get {GATEWAY_ADDRESS}", check=False).stdout
        running.power_off()
    found = re.search(r" dev (\S+)", way)
    return Boot(verdict, events, hand_off, found[1] if found else "", pings, *map(pcap.packets, captures))


def ping(running, address):
    said = running.run(f"ping -c {PINGS} -W 5 {address}", check=False).stdout
    answered = re.search(r"(\d+) packets received", said)
    return int(answered[1]) if answered else 0


def check_tunnel(boot):
    """It works, and by the cable that leads somewhere."""
    assert boot.verdict.status == 0, boot.verdict
    assert boot.hand_off["gateway"]["handshake_answered"], boot.hand_off["gateway"]
    assert boot.way == "eth1", boot.way
    assert boot.pings_answered == PINGS, boot.pings_answered
    for kind in ("initiation", "response", "data"):
        assert wireguard(boot.good, kind), f"no {kind} crossed the cable that works"
    for kind in ("response", "data"):
        assert not wireguard(boot.dead, kind), f"a {kind} crossed the dead cable"


def test_first_boot_searches_by_the_dead_line_and_enrols_by_the_other():
    """Without the dead line nothing here would be shown."""
    first = boots()["first"]
    asked = [packet for packet in first.dead if packet.kind == "dns" and packet.destination == PUBLIC_RESOLVER]
    assert asked, "nobody was asked by the dead line"
    assert first.has("uplink-preferred")
    assert first.hand_off["gateway"]["source"] == "public-dns", first.hand_off["gateway"]


def test_first_boot_has_its_tunnel_by_the_link_that_works():
    """The node would be enrolled, and out of the overlay for ever: WireGuard goes by the routes."""
    first = boots()["first"]
    check_tunnel(first)
    # The routes have changed before WireGuard says its first word.
    assert not wireguard(first.dead, "initiation")


def test_second_boot_moves_the_remembered_tunnel():
    """What begins at once would stay in the dead line although the gateway has been found."""
    second = boots()["second"]
    assert wireguard(second.dead, "initiation"), "it did not begin by the dead line"
    assert second.has("fast-start") and second.has("uplink-preferred")
    assert second.hand_off["gateway"]["source"] == "cached", second.hand_off["gateway"]
    check_tunnel(second)


def test_third_boot_moves_the_tunnel_without_any_gateway():
    """With the gateways' HTTPS dead as well, nobody would show the link that works."""
    third = boots()["third"]
    assert third.has("fast-start-elsewhere") and not third.has("uplink-preferred")
    assert third.hand_off["gateway"]["source"] == "remembered", third.hand_off["gateway"]
    check_tunnel(third)
