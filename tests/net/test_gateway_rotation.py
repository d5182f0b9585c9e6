"""A gateway's WireGuard key is replaced, as README.md says, on a real kernel.

One guest: the gateway, and two nodes in network namespaces of their own, which it relays for.

    gateway (the guest itself)                          node (namespace)
      fortros0  the old key, 51820    10.0.1.1 --- 10.0.1.2  stayer  does not boot during the rotation
      fortros1  the new one, 51821    10.0.2.1 --- 10.0.2.2  mover   joins in its midst

    before      the old key alone
    rotating    both; the stayer pings while the gateway is restarted for it
    moved       the mover has joined
    after       the new key alone; the mover pings while the gateway is restarted for it
    again       a third key, beside the second
"""

import atexit
import base64
import dataclasses
import json
import pathlib
import re
import tempfile

from lib.gateway import CLIENT, PROGRAM, Site, expect
from lib.guest import Guest
from lib.guest_gateway import HOME, GuestGateway, client_of, files_of
from lib.once import once

TIME_LIMIT_S = 420
TAKES_S = 80
STAYER, MOVER, THIEF = 1, 2, 3  # seeds
NODES = {"stayer": STAYER, "mover": MOVER}
PINGS_BEFORE, PINGS_AFTER = 10, 20
RULES = "ip -6 rule show priority 5180"

SETTINGS = """\
[Gateway]
Database=/run/state/gateway.db
[WireGuard]
ListenPort={port}
Endpoints={endpoints}
"""
PREVIOUS = """\
[PreviousWireGuard]
PrivateKey=previous.key
ListenPort={port}
"""


@dataclasses.dataclass
class Kernel:
    """What the gateway's kernel has."""

    interfaces: dict  # name → (public key, port)
    peers: dict  # name → its peers' keys
    handshakes: dict  # (name, peer) → when
    indices: dict  # name → ifindex
    addresses: str
    rules: str
    routes: str  # of all tables
    ruleset: str


class Play:
    """The machine and who is on it."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rotation."))
        self.site = Site(self.folder)
        self.org = self.site.org
        self.guest = Guest(programs=["wg", "ip", "nft", "ping", PROGRAM, CLIENT],
                           files=files_of(self.site, settings=""), modules=["wireguard", "nf_tables", "veth"],
                           command_line="no_timer_check", prefer_programs=True)
        atexit.register(self.guest.stop)
        self.guest.__enter__()
        self.gateway = GuestGateway(self.guest)
        self.answers = {}

    def run(self, command, **options):
        return self.guest.run(command, **options).stdout

    # --- the gateway ---

    def configure(self, port, previous_port=None):
        endpoints = " ".join(f"10.0.{number}.1:{port}" for number in NODES.values())
        settings = SETTINGS.format(port=port, endpoints=endpoints)
        self.guest.put(f"{HOME}/gateway.conf", settings + (PREVIOUS.format(port=previous_port) if previous_port else ""))

    def install(self, gateway):
        """Another key: the one before it keeps its file, under another name."""
        self.run(f"mv {HOME}/wireguard.key {HOME}/previous.key")
        for file in (gateway.certificate, gateway.key, gateway.wireguard_key):
            self.guest.put(f"{HOME}/{file.name}", file.read_bytes(), 0o600)

    def kernel(self):
        def table(what):
            return [line.split("\t") for line in self.run(f"wg show all {what}").splitlines()]

        ports = dict(table("listen-port"))
        peers = {name: set() for name in ports}
        for name, key, *_ in table("allowed-ips"):
            peers[name].add(key)
        links = json.loads(self.run("ip -j link"))
        return Kernel(interfaces={name: (key, int(ports[name])) for name, key in table("public-key")}, peers=peers,
                      handshakes={(name, key): int(when) for name, key, when in table("latest-handshakes")},
                      indices={link["ifname"]: link["ifindex"] for link in links},
                      addresses=self.run("ip -6 -o address"), rules=self.run(RULES),
                      routes=self.run("ip -6 route show table all"), ruleset=self.run("nft list ruleset"))

    # --- the nodes ---

    def tell(self, line):
        answer = json.loads(self.run(f"echo '{line}' | {client_of(self.site)}"))
        assert answer.get("status", 200) == 200, answer
        return answer

    def enrol(self, seed):
        invite = self.run("fortros-gateway invite create 2>/dev/null").strip()
        self.answers[seed] = self.tell(f"key {seed}") | self.tell(f"enroll {seed} {invite}")

    def key(self, seed):
        return self.answers[seed]["public_key"]

    def overlay(self, seed):
        return self.answers[seed]["overlay_address"]

    def add_node(self, name, number):
        self.enrol(number)
        self.guest.put(f"/run/{name}.key", self.answers[number]["private_key"], 0o600)
        self.run(f"""
            set -e
            ip netns add {name}
            ip link add to-{name} type veth peer name lan netns {name}
            ip addr add 10.0.{number}.1/24 dev to-{name}
            ip link set to-{name} up
            ip -n {name} addr add 10.0.{number}.2/24 dev lan
            ip -n {name} link set lan up
            ip -n {name} link add wg0 type wireguard
            ip netns exec {name} wg set wg0 private-key /run/{name}.key
            ip -n {name} addr add {self.overlay(number)}/128 dev wg0 nodad
            ip -n {name} link set wg0 up
            ip -n {name} route add {self.org.prefix} dev wg0
        """)

    def point(self, name, gateway, port):
        """The node's one peer is this key of the gateway, from now on."""
        self.run(f"""
            for old in $(ip netns exec {name} wg show wg0 peers); do
                ip netns exec {name} wg set wg0 peer $old remove
            done
            ip netns exec {name} wg set wg0 peer {gateway.wireguard_public} \
                endpoint 10.0.{NODES[name]}.1:{port} allowed-ips {self.org.prefix}
        """)

    def pings(self, name, address):
        return self.guest.run(f"/bin/ip netns exec {name} /bin/ping -n -c 1 -W 20 {address}", check=False).status == 0

    def restarted_under_pings(self, name, address):
        """The gateway is started anew while the node pings: the numbers of those that were not answered."""
        answered = "grep -c 'bytes from' /run/ping.log"
        self.run(f"ip netns exec {name} ping -n -i 0.1 {address} >/run/ping.log 2>&1 & echo $! >/run/ping.pid")
        self.guest.wait_until(f"[ $({answered}) -ge {PINGS_BEFORE} ]")
        self.gateway.end()
        self.gateway.start()
        seen = int(self.run(answered, check=False))
        self.guest.wait_until(f"[ $({answered}) -ge {seen + PINGS_AFTER} ]", timeout_s=60)
        self.run("kill $(cat /run/ping.pid)")
        numbers = {int(number) for number in re.findall(r"icmp_seq=(\d+) ttl", self.run("cat /run/ping.log"))}
        return sorted(set(range(1, max(numbers))) - numbers)


@dataclasses.dataclass
class Told:
    """What the play came to."""

    play: Play
    keys: dict  # name of a key → its gateway folder
    addresses: dict  # name of a key → the gateway's overlay address by it
    kernels: dict = dataclasses.field(default_factory=dict)  # when → the gateway's kernel
    facts: dict = dataclasses.field(default_factory=dict)

    def peer(self, when, key, seed):
        """The newest handshake of a node by a key of the gateway, 0 for none."""
        kernel = self.kernels[when]
        (name,) = [name for name, (public, _) in kernel.interfaces.items() if public == self.keys[key].wireguard_public]
        return kernel.handshakes[name, self.play.key(seed)]


@once
def told():
    play = Play()
    new, third = (play.org.gateway(play.folder / name) for name in ("gw2", "gw3"))
    keys = {"old": play.site.gateway, "new": new, "third": third}

    play.configure(51820)
    play.gateway.start()
    story = Told(play, keys, {"old": play.gateway.address()})
    for name, number in NODES.items():
        play.add_node(name, number)
    play.enrol(THIEF)
    play.run("sysctl -w net.ipv6.conf.all.forwarding=1")
    for name in NODES:
        play.point(name, keys["old"], 51820)
        assert play.pings(name, story.addresses["old"]), f"{name} is not in the overlay"
    story.kernels["before"] = play.kernel()

    play.install(new)
    play.configure(51821, 51820)
    story.facts["lost in the beginning"] = play.restarted_under_pings("stayer", story.addresses["old"])
    story.facts["check"] = play.run("fortros-gateway check")
    story.addresses["new"] = play.gateway.address()
    story.kernels["rotating"] = play.kernel()

    rotate_midst(story, new)
    end_rotation(story)

    play.install(third)
    play.configure(51820, 51821)
    play.gateway.end()
    play.gateway.start()
    story.kernels["again"] = play.kernel()
    return story


def rotate_midst(story, new):
    play, facts = story.play, story.facts
    facts["joined"] = play.tell(f"join {MOVER}")
    play.point("mover", new, 51821)
    facts["mover reaches the new address"] = play.pings("mover", story.addresses["new"])
    facts["stayer reaches the old address"] = play.pings("stayer", story.addresses["old"])
    play.guest.wait_until("grep 'event=previous-key' /run/gateway.log | tail -n 1 | grep -q 'nodes=1'", timeout_s=60)
    facts["mover reaches the stayer"] = play.pings("mover", play.overlay(STAYER))
    facts["the gateway reaches"] = [
        name for name, number in NODES.items()
        if play.guest.run(f"/bin/ping -n -c 1 -W 20 {play.overlay(number)}", check=False).status == 0]
    play.run(f"fortros-gateway node revoke {play.overlay(THIEF)}")
    play.guest.wait_until(f"! wg show all peers | grep -qF {play.key(THIEF)}", timeout_s=20)
    story.kernels["moved"] = play.kernel()
    facts["log"] = play.run("sed '1,/event=serving/d' /run/gateway.log")
    facts["nodes"] = json.loads(play.run("fortros-gateway node list --json"))
    play.gateway.end()
    facts["log of a restart in its midst"] = play.gateway.start()
    story.kernels["restarted"] = play.kernel()


def end_rotation(story):
    play, facts = story.play, story.facts
    play.configure(51821)
    assert play.pings("mover", story.addresses["new"])
    story.kernels["before the end"] = play.kernel()
    facts["lost in the end"] = play.restarted_under_pings("mover", story.addresses["new"])
    story.kernels["after"] = play.kernel()
    play.tell(f"join {STAYER}")
    play.point("stayer", story.keys["new"], 51821)
    facts["stayer reaches the new address"] = play.pings("stayer", story.addresses["new"])


def key(name):
    return told().keys[name].wireguard_public


# --- it begins ------------------------------------------------------------------------------------

def test_the_old_interface_goes_on_as_it_is():
    """Every tunnel of the org would blink, or point at a port that nobody has told."""
    before, rotating = told().kernels["before"], told().kernels["rotating"]
    expect(before.interfaces, {"fortros0": (key("old"), 51820)}, "the interfaces before")
    expect(rotating.interfaces, {"fortros0": (key("old"), 51820), "fortros1": (key("new"), 51821)}, "the interfaces")
    expect(rotating.indices["fortros0"], before.indices["fortros0"], "the index of the old interface")


def test_no_packet_is_lost_and_no_handshake_made_when_it_begins():
    """A restart for a rotation would be seen in every connection through the overlay."""
    expect(told().facts["lost in the beginning"], [], "packets lost")
    expect(told().peer("rotating", "old", STAYER), told().peer("before", "old", STAYER), "the newest handshake")


def test_each_address_is_on_its_interface_and_leaves_by_it():
    """Answers would come from a key that the node does not know."""
    rotating = told().kernels["rotating"]
    for name, interface in (("old", "fortros0"), ("new", "fortros1")):
        address = told().addresses[name]
        assert re.search(rf"{interface}\s+inet6 {address}/128", rotating.addresses), rotating.addresses
        (table,) = re.findall(rf"from {address} lookup (\d+)", rotating.rules)
        assert re.search(rf"{told().play.org.prefix} dev {interface} table {table} ", rotating.routes), rotating.routes


def test_members_are_peers_by_both_keys():
    """A node that boots by what it remembers would be met by nobody, or could not join."""
    members = {told().play.key(seed) for seed in (STAYER, MOVER, THIEF)}
    expect(told().kernels["rotating"].peers, {"fortros0": members, "fortros1": members}, "the peers")


def test_check_config_tells_of_the_previous_key():
    """An admin would not see what is served, or would leave it so for ever."""
    line = f"previous key     {key('old')}, at {told().addresses['old']}, port 51820\n"
    assert line in told().facts["check"], told().facts["check"]


# --- in its midst ---------------------------------------------------------------------------------

def test_a_join_leads_to_the_new_key():
    """No node would ever leave the old one."""
    bootstrap = base64.b64decode(told().facts["joined"]["bootstrap"])
    assert base64.b64decode(key("new")) in bootstrap, "the new key is not in the bootstrap set"
    assert base64.b64decode(key("old")) not in bootstrap, "the old key is in the bootstrap set"
    assert told().facts["mover reaches the new address"]
    assert told().peer("moved", "new", MOVER) > 0


def test_who_stays_up_keeps_its_tunnel():
    """A node would be lost until somebody boots it."""
    assert told().facts["stayer reaches the old address"]
    expect(told().peer("moved", "new", STAYER), 0, "the newest handshake by the new key")


def test_nodes_reach_each_other_by_either_key():
    """The org would be cut in two: who has joined since, and who has not."""
    assert told().facts["mover reaches the stayer"], told().kernels["moved"].routes


def test_the_gateway_reaches_nodes_where_they_are():
    """What the gateway's host begins would go where nobody listens."""
    expect(told().facts["the gateway reaches"], list(NODES), "whom it reaches")


def test_a_revoked_node_is_out_by_both_keys():
    """A stolen machine would stay in the overlay by the old key."""
    members = {told().play.key(seed) for seed in (STAYER, MOVER)}
    expect(told().kernels["moved"].peers, {"fortros0": members, "fortros1": members}, "the peers")
    assert "peers-changed" not in told().facts["log"], "not at once, but when all was looked through"


def test_node_list_knows_the_newest_handshake_by_either_key():
    """An admin would take nodes for dead that are up."""
    handshakes = {node["public_key"]: node["last_handshake"] for node in told().facts["nodes"]}
    assert all(handshakes[told().play.key(seed)] for seed in (STAYER, MOVER)), handshakes


def test_a_restart_in_its_midst_changes_nothing():
    """Every update of the gateway would interrupt the org."""
    log = told().facts["log of a restart in its midst"]
    assert "overlay-changed" not in log and "peers-changed" not in log, log
    moved, restarted = told().kernels["moved"], told().kernels["restarted"]
    expect(restarted.interfaces, moved.interfaces, "the interfaces")
    expect(restarted.rules, moved.rules, "the rules")
    expect(restarted.indices, moved.indices, "the indices")


# --- it ends --------------------------------------------------------------------------------------

def test_nothing_of_the_old_key_is_left():
    """An old key that was given up because it may be stolen would still open the overlay."""
    after = told().kernels["after"]
    expect(after.interfaces, {"fortros1": (key("new"), 51821)}, "the interfaces")
    expect(after.rules, "", "the rules")
    assert told().addresses["old"] not in after.addresses + after.routes, after.addresses + after.routes
    assert "table 518" not in after.routes, after.routes
    routes = [line for line in after.routes.splitlines() if line.startswith(told().play.org.prefix)]
    assert len(routes) == 1 and f"dev fortros1" in routes[0], routes
    expect(after.ruleset.count("table inet fortros"), 1, "the guard")


def test_no_packet_is_lost_and_no_handshake_made_when_it_ends():
    """A restart for the end of a rotation would be seen by those who have done everything right."""
    expect(told().facts["lost in the end"], [], "packets lost")
    expect(told().peer("after", "new", MOVER), told().peer("before the end", "new", MOVER), "the newest handshake")


def test_who_missed_it_joins():
    """A node that stayed up through all of it would be lost."""
    assert told().facts["stayer reaches the new address"]


def test_a_key_can_be_rotated_again():
    """A gateway would be bound to its second key for ever."""
    after, again = told().kernels["after"], told().kernels["again"]
    expect(again.interfaces, {"fortros1": (key("new"), 51821), "fortros0": (key("third"), 51820)}, "the interfaces")
    expect(again.indices["fortros1"], after.indices["fortros1"], "the index of the second key's interface")
