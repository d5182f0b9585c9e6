"""The maintainer's side of the member feed, against real gateways over real TLS.

    feed-probe ── 127.0.0.1:8443 ── fortros-gateway (Manage=no) ── SQLite
"""

import json
import queue
import subprocess
import tempfile
import threading

from lib.gateway import ADDRESS, OUT, PORT, Site
from lib.org import Org

TIME_LIMIT_S = 180
PROBE = OUT / "tests/net/feed-probe"
NODE = 1
HEAR_LIMIT_S = 60
NOBODY = f"{ADDRESS}:8499"


class Probe:
    def __init__(self, site, *more, endpoints=(), seed=NODE):
        org = site.org
        self.process = subprocess.Popen(
            [PROBE, org.ca, org.prefix, org.gateway_name, str(seed), *more, *(endpoints or [f"{ADDRESS}:{site.port}"])],
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._told = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.members = set()

    def _read(self):
        for line in self.process.stdout:
            print("feed-probe:", line, end="", flush=True)
            self._told.put(json.loads(line))
        self._told.put(None)

    def hear(self, event):
        """The next of these events; those before it are taken in."""
        while True:
            told = self._told.get(timeout=HEAR_LIMIT_S)
            assert told, f"the probe ended without {event}"
            if told["event"] == "members":
                self.members = set(told["keys"])
            if told["event"] == event:
                return told

    def wait_for(self, condition):
        while not condition(self.members):
            self.hear("members")

    def moved(self):
        self.process.stdin.write("moved\n")
        self.process.stdin.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def enrol(site, seed):
    with site.client() as node:
        told = node.tell(f"enroll {seed} {site.invite()}")
        assert told["status"] == 200, told
        return told


def new_site(**options):
    return Site(tempfile.mkdtemp(prefix="feed."), **options)


def test_members_are_learnt_and_then_each_change_as_it_comes():
    """A node would not know whom it may peer with, or learn it at its next boot."""
    site = new_site()
    with site.start():
        enrol(site, NODE)
        first = enrol(site, 2)["public_key"]
        with Probe(site) as probe:
            probe.wait_for(lambda members: {first, site.gateway.wireguard_public} <= members)
            second = enrol(site, 3)["public_key"]
            probe.wait_for(lambda members: second in members)
            site.admin("node", "revoke", enrol(site, 3)["overlay_address"])
            probe.wait_for(lambda members: second not in members)
            assert first in probe.members


def test_a_gateway_that_comes_back_is_heard_again():
    """After an update of the gateway its nodes would live on old news for ever."""
    site = new_site()
    with site.start():
        enrol(site, NODE)
        first = enrol(site, 2)["public_key"]
        probe = Probe(site)
        probe.wait_for(lambda members: first in members)
    with probe, site.start():
        second = enrol(site, 3)["public_key"]
        probe.wait_for(lambda members: second in members)
        assert first in probe.members


def test_another_gateway_is_asked_when_one_is_dead():
    """One dead gateway would leave every node unheard although the others serve."""
    site = new_site()
    with site.start():
        enrol(site, NODE)
        with Probe(site, endpoints=[NOBODY, f"{ADDRESS}:{site.port}"]) as probe:
            probe.wait_for(lambda members: site.gateway.wireguard_public in members)


def test_a_revoked_node_is_told_that_it_is_out():
    """It would keep an overlay in which nobody speaks to it."""
    site = new_site()
    with site.start():
        address = enrol(site, NODE)["overlay_address"]
        with Probe(site) as probe:
            probe.hear("org")
            site.admin("node", "revoke", address)
            probe.hear("cast-out")


def test_who_is_not_known_is_not_cast_out():
    """A gateway that was restored from an old backup would end a fleet."""
    site = new_site()
    with site.start(), Probe(site, seed=99) as probe:
        enrol(site, NODE)
        enrol(site, 99)  # its admin mends it
        probe.hear("org")
        probe.wait_for(lambda members: site.gateway.wireguard_public in members)


def test_membership_is_renewed_when_it_is_due():
    """After thirty days a node that is never rebooted would gain no peer any more."""
    site = new_site()
    with site.start():
        enrol(site, NODE)
        with Probe(site, "renew") as probe:
            renewed = probe.hear("renewed")
            assert renewed["bootstrap"] and renewed["serial"] > 0
            probe.hear("org")


def test_two_machines_that_use_one_key_are_reported():
    """Each ends the other's long poll and takes its tunnel, until the next renewal shows it: in weeks."""
    site = new_site()
    with site.start() as server:
        address = enrol(site, NODE)["overlay_address"]
        for boot in "123":  # one machine, which reboots
            with Probe(site, f"boot={boot}") as probe:
                probe.hear("org")
                probe.moved()
        with Probe(site, "boot=a") as original:
            original.hear("org")
            assert "key-shared" not in server.log
            with Probe(site, "boot=c"):
                assert address in server.wait_for("key-shared")
        node, = (node for node in site.json("node", "list") if node["overlay_address"] == address)
        assert node["key_shared"], node


def test_an_impostor_is_not_believed():
    """Whoever answers at a gateway's address could name members."""
    site = new_site()
    other = new_site(port=PORT + 1, org=Org.make(tempfile.mkdtemp(prefix="other.")))
    with site.start(), other.start():
        enrol(site, NODE)
        with Probe(site, endpoints=[f"{ADDRESS}:{other.port}", f"{ADDRESS}:{site.port}"]) as probe:
            probe.wait_for(lambda members: site.gateway.wireguard_public in members)
            assert other.gateway.wireguard_public not in probe.members
