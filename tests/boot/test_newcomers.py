"""Newcomers on real machines: approval, rejection, copies of an image, a taken address, a lost key."""

import atexit
import functools
import ipaddress
import os
import pathlib
import re
import sqlite3
import tempfile

from lib import qemu
from lib.newcomer import Newcomer
from lib.org import Org
from lib.world import GATEWAY_NAME, World

TIME_LIMIT_S = 900
TAKES_S = 180
WAITING = r"fortros-preboot: waiting for an administrator to approve ([0-9a-f:]+),"
DATABASE = "/etc/fortros/honest/gateway.db"


class Site:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="newcomers-"))
        cable = qemu.Cable(self.folder)
        org = Org.make(self.folder / "org", GATEWAY_NAME)
        self.world = World(self.folder / "world", cable.b, {"honest": (org, org.gateway(self.folder / "gateway"))})
        self.world.__enter__()
        atexit.register(self.world.stop)
        self.world.start_gateway("honest")
        self.newcomer = Newcomer(self.folder / "newcomer", cable.a, org)

    def invite(self, options=""):
        return self.world.ask_gateway(f"invite create {options}").strip().splitlines()[-1] + "\n"

    def nodes(self):
        """overlay address → state, as `node list` shows them."""
        table = self.world.ask_gateway("node list")
        return dict(re.findall(r"^(fd[0-9a-f:]+) .* (member|revoked|retired) ", table, re.M))


@functools.cache
def site():
    return Site()


def test_a_newcomer_shows_its_address_and_comes_up_when_it_is_approved():
    """An admin could not tell the machine before him from a stranger's."""
    newcomer = site().newcomer
    newcomer.new_disk()
    with newcomer.boot(site().invite("--approval yes")) as agent:
        address = agent.expect(WAITING)[1]
        assert re.search(rf"^{address} .* waiting ", site().world.ask_gateway("node waiting"), re.M)
        assert address not in site().nodes()
        site().world.ask_gateway(f"node approve {address}")
        assert agent.joined() == address
    assert site().nodes()[address] == "member"


def test_a_rejected_newcomer_says_so():
    """Its owner would look for a mistake in the network."""
    newcomer = site().newcomer
    newcomer.new_disk()
    with newcomer.boot(site().invite("--approval yes")) as agent:
        address = agent.expect(WAITING)[1]
        site().world.ask_gateway(f"node reject {address}")
        verdict = agent.verdict()
    assert (verdict.status, verdict.name) == (9, "refused"), verdict
    assert "approval-refused" in verdict.why, verdict


def test_copies_of_an_image_are_nodes_of_their_own_and_a_lost_key_is_another_one():
    """Cloned machines would share a key and take the tunnel from each other."""
    newcomer, invite = site().newcomer, site().invite("--uses 3 --approval no")
    addresses = []
    for _ in range(2):  # one image, one invite, two disks
        newcomer.new_disk()
        with newcomer.boot(invite) as agent:
            addresses.append(agent.joined())
    # The second machine boots again and is the same one; then its disk is lost.
    with newcomer.boot(None) as agent:
        assert agent.joined() == addresses[1]
    newcomer.new_disk()
    with newcomer.boot(invite) as agent:
        addresses.append(agent.joined())
    assert len(set(addresses)) == 3, addresses
    site().world.ask_gateway(f"node retire {addresses[1]}")
    site().world.wait_until(f"! wg show fortros0 allowed-ips | grep -q {addresses[1]}/128", timeout_s=20)
    nodes = site().nodes()
    assert [nodes[address] for address in addresses] == ["member", "retired", "member"], nodes


def test_a_retired_node_takes_its_interface_down_and_deletes_nothing():
    """The finder of a lost disk would be in the overlay."""
    newcomer = site().newcomer
    newcomer.new_disk()
    with newcomer.boot(site().invite()) as agent:
        address = agent.joined()
        agent.guest.run("sync")
    site().world.ask_gateway(f"node retire {address}")
    with newcomer.boot(None) as agent:
        verdict = agent.verdict()
        assert (verdict.status, verdict.name) == (10, "revoked"), verdict
        assert "retired" in verdict.why, verdict
        assert agent.guest.run("wg show interfaces").stdout.split() == []
        agent.guest.run("test -s /keep/node.key && test -s /keep/node.state")


def give_away(address):
    """The registry holds this address as another node's: no two keys are known that really collide."""
    world = site().world
    world.stop_gateway()
    world.run(f"for file in {DATABASE}-wal {DATABASE}-shm; do test ! -s $file || exit 1; done")
    copy = site().folder / "gateway.db"
    copy.write_bytes(world.get(DATABASE))
    database = sqlite3.connect(copy)
    packed = ipaddress.ip_address(address).packed
    (invite,) = database.execute("SELECT invite FROM waiting WHERE overlay_address = ?", (packed,)).fetchone()
    database.execute("DELETE FROM waiting WHERE overlay_address = ?", (packed,))
    database.execute("INSERT INTO nodes (key, overlay_address, role, hostname, invite, enrolled, serial, "
                     "attested_until, revision) SELECT ?, ?, 1, 'squatter', ?, 1, 1, 1, revision + 1 FROM organisation",
                     (os.urandom(31) + b"\0", packed, invite))
    database.execute("UPDATE organisation SET revision = revision + 1")
    database.commit()
    database.execute("PRAGMA journal_mode = DELETE")
    database.close()
    world.put(DATABASE, copy.read_bytes(), 0o600)
    world.start_gateway("honest")


def test_a_newcomer_whose_address_is_taken_makes_another_key():
    """It would be locked out, or would take another node's packets."""
    newcomer = site().newcomer
    newcomer.new_disk()
    with newcomer.boot(site().invite("--approval yes")) as agent:
        taken = agent.expect(WAITING)[1]
        give_away(taken)
        agent.expect("the overlay address is taken; making a new key")
        site().world.wait_until("fortros-gateway node waiting --config /etc/fortros/honest/gateway.conf | "
                                "grep -q ' waiting '", timeout_s=60)
        table = site().world.ask_gateway("node waiting")
        (address,) = re.findall(r"^(fd[0-9a-f:]+) .* waiting ", table, re.M)
        assert address != taken
        site().world.ask_gateway(f"node approve {address}")
        assert agent.joined() == address
    assert site().nodes()[address] == "member"


def test_a_gateway_whose_kernel_has_another_key_than_its_certificate_is_told_by_the_missing_handshake():
    """The boot would be called a success, and no packet would ever come through."""
    newcomer, world = site().newcomer, site().world
    newcomer.new_disk()
    world.run("wg genkey >/run/other.key && wg set fortros0 private-key /run/other.key")
    try:
        with newcomer.boot(site().invite()) as agent:
            verdict = agent.verdict()
            assert (verdict.status, verdict.name) == (14, "no-handshake"), verdict
            assert agent.guest.run("wg show interfaces").stdout.split(), "what was configured was taken down"
            agent.guest.run("test -s /run/fortros/bootstrap.json")
    finally:
        world.run("wg set fortros0 private-key /etc/fortros/honest/wireguard.key")
    # The key was all that was wrong.
    with newcomer.boot(None) as agent:
        agent.joined()
