"""A node that was in the overlay before is in it again at once, and by its own remembered set alone.

One world and one node with the same NVRAM through all boots:

  first    enrols, by public DNS; only cached addresses are allowed from then on
  second   everything is well: the tunnel works before the join has ended
  third    the gateway serves no HTTPS; its kernel's WireGuard works
  fourth   the gateway serves again, and has revoked the node
  fifth    the state is gone, and the key is still there; the image itself would allow every source

The image's init goes on into the real root whatever the agent says, so that it can be looked at there.
"""

import atexit
import base64
import dataclasses
import functools
import json
import pathlib
import re
import tempfile

from lib import image, nvram, pcap, preboot_console, qemu
from lib.node import Node
from lib.org import Org
from lib.world import GATEWAY_ADDRESS, GATEWAY_NAME, PUBLIC_RESOLVER, World

TIME_LIMIT_S = 900
TAKES_S = 200
# Nobody has this address; a boot with nothing else to ask looks for it until its time is over.
NOBODY = "192.0.2.66"
SETTINGS = f"""[Organisation]
GatewayName={GATEWAY_NAME}
[Discovery]
PublicResolvers={PUBLIC_RESOLVER}
AfterEnrollment=cached
[Failure]
TotalTimeout=60s
"""
GO_ON = "fortros-init.on_failure=continue"
# For boots that use all of it up.
SHORT = "fortros.timeout=15s"
PINGS = 3
BOOTSTRAP_MAGIC = b"fortros/bootstrap/v1"


@dataclasses.dataclass
class Boot:
    """What one boot came to."""

    verdict: preboot_console.Verdict
    console: str
    events: list
    hand_off: dict
    interfaces: list
    pings_answered: int
    packets: list
    variables: dict  # ours, after it

    def dns_packets(self):
        return [str(packet) for packet in self.packets if packet.kind == "dns"]

    def index(self, event, **fields):
        """Where an event is among all; the first of its kind with these fields."""
        for number, entry in enumerate(self.events):
            if entry["event"] == event and all(entry.get("fields", {}).get(key) == value for key, value in fields.items()):
                return number
        raise AssertionError(f"no event {event} {fields} among {[entry['event'] for entry in self.events]}")

    def wireguard(self, kind, *, to_gateway):
        """The numbers of packets of a kind (initiation, response, data)."""
        return [number for number, packet in enumerate(self.packets) if packet.kind == "wireguard"
                and pcap.WIREGUARD_TYPES[packet.payload[0]] == kind
                and (packet.destination == GATEWAY_ADDRESS) == to_gateway]


@functools.cache
def boots():
    """All boots by their names."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="fast-"))
    cable = qemu.Cable(folder)
    org = Org.make(folder / "org", GATEWAY_NAME)
    world = World(folder / "world", cable.b, {"honest": (org, org.gateway(folder / "gateway"))})
    atexit.register(world.stop)
    with world:
        world.start_resolvers()
        world.start_gateway("honest")
        invite = world.create_invite()
        uki = make_uki(folder / "node.efi", org, invite, SETTINGS, GO_ON)
        with_nobody = SETTINGS.replace("[Discovery]\n", f"Gateways={NOBODY}\n[Discovery]\n")
        short = make_uki(folder / "short.efi", org, invite, with_nobody, f"{GO_ON} {SHORT}")
        # All that narrowed its sources was remembered, and is lost.
        wide = make_uki(folder / "wide.efi", org, invite, with_nobody.replace("AfterEnrollment=cached\n", ""),
                        f"{GO_ON} {SHORT}")
        node = Node(folder / "node", cable.a)
        done = {"first": join(node, "first", uki), "second": join(node, "second", uki)}
        world.stop_gateway()
        done["third"] = join(node, "third", short)
        world.start_gateway("honest")
        world.ask_gateway(f"node revoke {done['first'].hand_off['node']['overlay_address']}")
        done["fourth"] = join(node, "fourth", uki)
        nvram.Nvram(node.firmware.variables).remove("FortrosState")
        done["fifth"] = join(node, "fifth", wide)
    return done


def make_uki(output, org, invite, settings, command_line):
    file = output.with_suffix(".conf")
    file.write_text(settings)
    return image.build(output, settings=file, ca=org.ca, invite=invite, command_line=command_line)


def join(node, name, uki):
    with node.boot(name, uki) as running:
        running.wait_for_real_root()
        verdict = running.verdict()
        hand_off, pings = {}, 0
        if verdict.status == 0:
            hand_off = running.hand_off()
            pings = ping(running, hand_off["peers"][0]["overlay_address"])
        events = running.events()
        interfaces = [link["ifname"] for link in json.loads(running.run("/bin/ip -j link").stdout)]
        running.power_off()
        console = running.machine.console.text()
    return Boot(verdict, console, events, hand_off, interfaces, pings, running.packets(),
                nvram.Nvram(node.firmware.variables).ours())


def ping(running, address):
    said = running.run(f"ping -c {PINGS} -W 5 {address}", check=False).stdout
    answered = re.search(r"(\d+) packets received", said)
    return int(answered[1]) if answered else 0


def expect(have, want, what):
    assert have == want, f"{what} is {have!r}, not {want!r}"


# --- first boot: enrols ---

def test_first_boot_remembers_a_bootstrap_set():
    """There would be nothing to start from."""
    first = boots()["first"]
    expect(first.verdict.status, 0, "the exit status")
    expect(first.hand_off["gateway"]["source"], "public-dns", "the source")
    assert BOOTSTRAP_MAGIC in first.variables["FortrosState"].data
    assert not [entry for entry in first.events if entry["event"].startswith("fast-start")], "it knew the way before"


# --- second boot: everything is well ---

def test_second_boot_sends_no_dns_packet():
    """AfterEnrollment= promises silence from the second boot on."""
    expect(boots()["second"].dns_packets(), [], "the list of DNS packets")


def test_second_boot_tunnel_works_before_the_join():
    """A node would not be reachable for as long as HTTPS takes."""
    second = boots()["second"]
    assert second.index("fast-start") < second.index("fast-start-handshake") < second.index("stage", stage="enrol")


def test_second_boot_packets_cross_the_tunnel_before_the_join_has_ended():
    """An agent could say that the tunnel works while it carries nothing."""
    second = boots()["second"]
    last_of_join = max(number for number, packet in enumerate(second.packets) if packet.kind == "tls")
    sent = second.wireguard("data", to_gateway=True)
    assert sent and sent[0] < last_of_join, (sent, last_of_join)
    assert second.wireguard("response", to_gateway=False)[0] < last_of_join


def test_second_boot_begins_its_session_once():
    """The join would throw away the session that is in use, with what is on its way."""
    second = boots()["second"]
    expect(len(second.wireguard("initiation", to_gateway=True)), 1, "the number of handshakes begun by the node")
    expect(second.pings_answered, PINGS, "the number of pings answered")


def test_second_boot_is_confirmed_by_the_gateway():
    """What is remembered would never be corrected."""
    second = boots()["second"]
    expect(second.verdict.status, 0, "the exit status")
    expect(second.hand_off["gateway"]["source"], "cached", "the source")
    expect(second.hand_off["gateway"]["endpoint"], f"{GATEWAY_ADDRESS}:443", "the gateway")
    assert second.hand_off["gateway"]["handshake_answered"]
    for key in ("public_key", "overlay_address"):
        expect(second.hand_off["node"][key], boots()["first"].hand_off["node"][key], key)


def test_second_boot_writes_no_variable():
    """Firmware flash would wear out, one write for each boot."""
    assert boots()["second"].variables == boots()["first"].variables  # which hold a secret: not shown


# --- third boot: no HTTPS anywhere ---

def test_third_boot_is_in_the_overlay_without_https():
    """A fleet would lose its overlay with the gateways' HTTPS service."""
    third = boots()["third"]
    expect(third.verdict.status, 0, "the exit status")
    expect(third.hand_off["gateway"], {"source": "remembered", "handshake_answered": True}, "the gateway")
    expect(third.hand_off["node"]["overlay_address"], boots()["first"].hand_off["node"]["overlay_address"], "the address")
    expect(third.pings_answered, PINGS, "the number of pings answered")
    expect(third.dns_packets(), [], "the list of DNS packets")


def test_third_boot_says_that_nobody_has_answered():
    """Nobody would look after the gateway."""
    third = boots()["third"]
    assert "no gateway has answered" in third.verdict.why, third.verdict
    assert re.search(rf"fortros-preboot: .*cached {re.escape(GATEWAY_ADDRESS)}:443: ", third.console), "not which"
    assert third.events[third.index("finished")]["fields"]["confirmed"] is False


def test_third_boot_is_kept_by_the_maintainer():
    """The tunnel would end when its maintainer starts."""
    third = boots()["third"]
    assert re.search(r"fortros-maintainer: .*adopted.* 0 changes", third.console)
    assert third.variables == boots()["second"].variables


# --- fourth boot: revoked ---

def test_fourth_boot_takes_a_revoked_node_out():
    """A stolen machine would keep the interfaces that its memory has brought up."""
    fourth = boots()["fourth"]
    expect((fourth.verdict.status, fourth.verdict.name), (10, "revoked"), "the verdict")
    fourth.index("fast-start")  # they were there
    expect([name for name in fourth.interfaces if name.startswith("fortros")], [], "the list of our interfaces")


def test_fourth_boot_deletes_nothing():
    """One gateway that errs could end a fleet."""
    fourth = boots()["fourth"]
    expect(sorted(fourth.variables), ["FortrosKey", "FortrosState"], "the list of our variables")
    assert fourth.variables["FortrosKey"] == boots()["first"].variables["FortrosKey"]
    expect(fourth.dns_packets(), [], "the list of DNS packets")


# --- fifth boot: a key without its state ---

def test_fifth_boot_without_its_state_asks_no_resolver():
    """Who can delete one variable could widen what the node asks of the network."""
    fifth = boots()["fifth"]
    expect((fifth.verdict.status, fifth.verdict.name), (16, "policy-lost"), "the verdict")
    assert f"{NOBODY}:443" in fifth.console, "it did not look for the gateway of its image"
    expect(fifth.dns_packets(), [], "the list of DNS packets")


def test_fifth_boot_starts_nothing_from_memory():
    """What nobody vouches for would be in the overlay."""
    fifth = boots()["fifth"]
    assert not [entry for entry in fifth.events if entry["event"] == "fast-start"]
    expect([packet for packet in fifth.packets if packet.kind == "wireguard"], [], "the list of WireGuard packets")
    expect([name for name in fifth.interfaces if name.startswith("fortros")], [], "the list of our interfaces")


def test_key_stays_where_it_is():
    """Whoever reads a console or the log of a fast start would have the node's key."""
    key = boots()["first"].variables["FortrosKey"].data[8:40]
    spellings = [base64.b64encode(key).decode(), key.hex()]
    for name, boot in boots().items():
        told = boot.console + json.dumps(boot.events) + json.dumps(boot.hand_off)
        assert not any(spelling in told for spelling in spellings), f"it is told in the {name} boot"
