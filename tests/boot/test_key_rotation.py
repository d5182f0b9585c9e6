"""A gateway's WireGuard key is replaced, as README.md says, and a node lives through it.

    gateway's keys   boot
    old              first    enrols, and stays up while the gateway is restarted with
    old and new      second   remembers the old key, and learns the new one
    new              third    remembers the new key
    new              skipped  as third, by a node that has slept through the second: it remembers the old key

All boots are of one node with one disk; skipped goes on with a copy of it from before the rotation. What
happens in the gateway's kernel is in tests/net/test_gateway_rotation.py.
"""

import atexit
import dataclasses
import pathlib
import re
import shutil
import tempfile

from lib import preboot_console, qemu
from lib.newcomer import Newcomer
from lib.once import once
from lib.org import Org
from lib.world import GATEWAY_ADDRESS, GATEWAY_NAME, TESTS, World

TIME_LIMIT_S = 600
TAKES_S = 90
HOME = "/etc/fortros/honest"
OLD_PORT, NEW_PORT = 51820, 51821
PREVIOUS = f"""[PreviousWireGuard]
PrivateKey=previous.key
ListenPort={OLD_PORT}
"""


@dataclasses.dataclass
class Boot:
    """What one boot came to."""

    verdict: preboot_console.Verdict
    events: list
    peers: list  # endpoint of each, by its key
    reaches: bool  # the gateway, at the address of the key that it tells of
    members: list  # the registry's, after it

    def entries(self, event):
        return [entry for entry in self.events if entry["event"] == event]

    @property
    def address(self):
        assert self.verdict.status == 0, self.verdict
        return re.search(preboot_console.JOINED, self.verdict.why)["address"]


class Site:
    def __init__(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="key-"))
        cable = qemu.Cable(folder)
        org = Org.make(folder / "org", GATEWAY_NAME)
        self.old, self.new = org.gateway(folder / "gw"), org.gateway(folder / "gw2")
        self.world = World(folder / "world", cable.b, {"honest": (org, self.old)})
        self.world.__enter__()
        atexit.register(self.world.stop)
        self.world.start_gateway("honest")
        self.node = Newcomer(folder / "node", cable.a, org)
        self.node.new_disk()

    def configure(self, more=""):
        plain = (TESTS / "world/gateway.conf").read_text()
        new = plain.replace(f":{OLD_PORT}", f":{NEW_PORT}\nListenPort={NEW_PORT}")
        self.world.put(f"{HOME}/gateway.conf", new + more)
        self.world.start_gateway("honest")

    def begin(self):
        """Step 1 and 2."""
        self.world.run(f"mv {HOME}/wireguard.key {HOME}/previous.key")
        for file in (self.new.certificate, self.new.key, self.new.wireguard_key):
            self.world.put(f"{HOME}/{file.name}", file.read_bytes(), 0o600)
        self.configure(PREVIOUS)

    def end(self):
        """Step 3."""
        self.configure()

    def address(self):
        """The gateway's, by the key that it tells of."""
        return re.findall(r"overlay_address=(\S+)", self.world.run("cat /var/log/gateway.log").stdout)[-1]

    def look(self, agent):
        verdict = agent.verdict()
        # wg(8) names an interface before its first peer, and in the same line if it has none.
        endpoints = agent.guest.run("wg show all endpoints").stdout.splitlines()
        members = re.findall(r"^(fd[0-9a-f:]+) .* member ", self.world.ask_gateway("node list"), re.M)
        return Boot(verdict, agent.events(), sorted(line.split("\t")[-2:] for line in endpoints),
                    self.reaches(agent, self.address()), members)

    def boot(self):
        with self.node.boot(None) as agent:
            return self.look(agent)

    @staticmethod
    def reaches(agent, address):
        return agent.guest.run(f"ping -c 1 -W 10 {address}", check=False).status == 0


@once
def site():
    return Site()


@once
def boots():
    """All boots by their names, and whether the first still reaches the old address once the rotation has begun."""
    play = site()
    done = {}
    with play.node.boot(play.world.create_invite()) as agent:
        done["first"] = play.look(agent)
        old_address = play.address()
        play.begin()
        done["first keeps its tunnel"] = play.reaches(agent, old_address)
    disk = play.node.disk
    before = disk.with_suffix(".before")
    shutil.copy(disk, before)
    done["second"] = play.boot()
    play.end()
    done["third"] = play.boot()
    shutil.copy(before, disk)
    done["skipped"] = play.boot()
    return done


def expect(have, want, what):
    assert have == want, f"{what} is {have!r}, not {want!r}"


def expect_same_node(name, gateway, port):
    """Up, confirmed by the gateway, the node that it was, and with one tunnel: to this key at this port."""
    boot, first = boots()[name], boots()["first"]
    expect(boot.address, first.address, "the overlay address")
    expect(boot.entries("not-joined"), [], "the list of what was not confirmed")
    expect(boot.members, [first.address], "the list of members")
    expect(boot.peers, [[gateway.wireguard_public, f"{GATEWAY_ADDRESS}:{port}"]], "the list of peers")
    assert boot.reaches, "nothing goes through the tunnel"


def fast_start_peers(name):
    """By whose WireGuard the boot was in the overlay before its join."""
    return [entry["fields"]["peer"] for entry in boots()[name].entries("fast-start-handshake")]


def test_first_boot_enrols_by_the_old_key():
    """There would be nothing to rotate."""
    expect_same_node("first", site().old, OLD_PORT)


def test_first_boot_keeps_its_tunnel_when_the_rotation_begins():
    """A node would be lost until somebody boots it."""
    assert boots()["first keeps its tunnel"]


def test_second_boot_starts_fast_by_the_old_key():
    """A rotation would be a day without fast starts."""
    expect(fast_start_peers("second"), [site().old.wireguard_public], "who has answered")


def test_second_boot_joins_by_the_new_key():
    """No node would ever leave the old one."""
    expect_same_node("second", site().new, NEW_PORT)


def test_third_boot_starts_fast_by_the_new_key():
    """What the second boot has learnt would be forgotten."""
    expect(fast_start_peers("third"), [site().new.wireguard_public], "who has answered")


def test_third_boot_joins_without_the_old_key():
    """The old key could never be given up."""
    expect_same_node("third", site().new, NEW_PORT)


def test_skipped_boot_is_answered_by_nobody_before_its_join():
    """The old key would still be served by somebody."""
    expect(fast_start_peers("skipped"), [], "who has answered")


def test_skipped_boot_joins_by_the_new_key():
    """A machine that was off for some weeks would be lost."""
    expect_same_node("skipped", site().new, NEW_PORT)
