"""An internet in one guest, and an org in it whose nodes go the real way: invite, fortros-preboot, hand-off,
fortros-maintainer. Each box is a network namespace of the guest's kernel; nothing leaves the guest.

              inet, a router: delay and loss on every line (LINES), what a test cuts, a count of all flows
      ┌───────────┬───────────┬───────────┬──────────────┬────────────────┬──────────────┐
  203.0.113.2    .18         .34         .50        198.51.100.2         .18            .34
     gw          lh1         lh2         vps          office            cottage        hotel     NAT routers
   gateway    lighthouse  lighthouse     node      192.168.1.1/24    192.168.1.1/24  10.7.0.1/24
                                                   ┌─────┼─────┐           │              │
                                                  .11   .12   .13         .11            .50
                                                 desk1 desk2 laptop       home         (laptop,
                                                                                     when it moves)

The office and the cottage have the same private prefix, and desk1 and home the same address in it. A NAT
keeps the port that it is given where it can and lets in who was spoken to; it has no hairpin.

The guest has a time of its own (qemu.OWN_TIME), in which its processor is as fast as ever however busy the host is:
all seconds here are in it, those of timeouts, of pings, of what is promised. Only what waits longer in ours than a
test may take can fail by load.

    bed = Bed().start()               # all are in the overlay, every maintainer runs
    with bed.pings("desk1", "home") as pings:
        bed.cut(("office", "cottage"))
        ...
    assert pings.silence_s < 10
"""

import atexit
import contextlib
import dataclasses
import json
import pathlib
import re
import subprocess
import tempfile

from lib.guest import Guest
from lib.guest_gateway import GuestGateway
from lib.mesh_traffic import Pings, Session
from lib.org import Org

OUT = pathlib.Path(__file__).resolve().parents[2] / "build/out"
HOME = "/etc/fortros"
MEMORY_MIB = 512
MODULES = ["wireguard", "nf_tables", "nft_chain_nat", "nft_masq", "nft_ct", "nft_fib_inet", "nf_conntrack", "veth",
           "bridge", "sch_prio", "sch_netem"]
FAR_MS = 40  # between sites of different continents, each way; everything else has its line's delay
MESH_PORT = 5180


@dataclasses.dataclass(frozen=True)
class Line:
    """Of a site to the internet: delay of what goes to it, and what gets lost there."""

    address: str
    router: str
    delay: str
    loss: str = "0%"


@dataclasses.dataclass(frozen=True)
class Flow:
    packets: int = 0
    bytes: int = 0  # of whole IP packets


LINES = {
    "gw": Line("203.0.113.2/28", "203.0.113.1", "30ms"),
    "lh1": Line("203.0.113.18/28", "203.0.113.17", "3ms"),
    "lh2": Line("203.0.113.34/28", "203.0.113.33", "3ms"),
    "vps": Line("203.0.113.50/28", "203.0.113.49", "5ms"),
    "office": Line("198.51.100.2/28", "198.51.100.1", "5ms"),
    "cottage": Line("198.51.100.18/28", "198.51.100.17", "10ms"),
    "hotel": Line("198.51.100.34/28", "198.51.100.33", "20ms", "1%"),
}
# The office prefers lh1, the cottage lh2.
FAR = (("office", "lh2"), ("cottage", "lh1"), ("lh1", "lh2"))


@dataclasses.dataclass(frozen=True)
class Lan:
    """Behind a NAT router of the same name."""

    router: str
    hosts: dict


LANS = {
    "office": Lan("192.168.1.1/24", {"desk1": "192.168.1.11/24", "desk2": "192.168.1.12/24",
                                     "laptop": "192.168.1.13/24"}),
    "cottage": Lan("192.168.1.1/24", {"home": "192.168.1.11/24"}),
    "hotel": Lan("10.7.0.1/24", {}),
}
LAPTOP_AT_HOTEL = "10.7.0.50/24"
LIGHTHOUSES = ("lh1", "lh2")
NODES = ("vps", "desk1", "desk2", "laptop", "home")
EVERYBODY = LIGHTHOUSES + NODES
LIGHTHOUSE_PORT = 51820

GATEWAY_SETTINGS = f"""[Gateway]
Database=/run/gateway/gateway.db
[WireGuard]
Endpoints={LINES['gw'].address.partition('/')[0]}:{LIGHTHOUSE_PORT}
"""
NODE_SETTINGS = """[Organisation]
GatewayName={gateway_name}
CA={home}/org-ca.pem
Invite={folder}/invite
Gateways={gateway}
[Discovery]
Sources=cached
[Network]
Mode=static
Interfaces=uplink
Address={address}
Gateway={router}
[Node]
Hostname={name}
KeyStore=file:{folder}/key
StateStore=file:{folder}/state
[WireGuard]
ListenPort={port}
[Failure]
TotalTimeout=90s
"""
NAT = """table ip nat {
    chain postrouting {
        type nat hook postrouting priority srcnat
        oifname "uplink" masquerade
    }
}
table ip door {
    chain input {
        type filter hook input priority filter
        iifname "uplink" ct state established,related accept
        iifname "uplink" drop
    }
    chain forward {
        type filter hook forward priority filter
        iifname "uplink" ct state established,related accept
        iifname "uplink" drop
    }
}
"""
# Every pair of public addresses that speak, what is cut, and what goes the slow way (band 2 of each line).
INTERNET = """table ip watch {
    set flows {
        typeof ip saddr . ip daddr
        size 1024
        flags dynamic
        counter
    }
    chain forward {
        type filter hook forward priority filter + 10
        update @flows { ip saddr . ip daddr counter }
    }
}
table ip paths {
    set cut {
        typeof ip saddr . ip daddr
    }
    set far {
        typeof ip saddr . ip daddr
    }
    chain forward {
        type filter hook forward priority filter
        ip saddr . ip daddr @cut drop
        ip saddr . ip daddr @far meta priority set 1:2
    }
}
"""


def public(site):
    return LINES[site].address.partition("/")[0]


def site_of(node):
    """The line that a node is behind, as the bed begins."""
    return next((name for name, lan in LANS.items() if node in lan.hosts), node)


def _both_ways(pairs):
    return [pair for one, other in pairs for pair in ((one, other), (other, one))]


def _mac(number):
    return f"02:f0:00:00:{number >> 8:02x}:{number & 255:02x}"


def topology():
    """The namespaces and their wires, as the arguments of ip(8), one command a line; for `ip -batch`."""
    lines, number = [], 0

    def wire(a, a_name, b, b_name):
        nonlocal number
        number += 2
        lines.append(f"link add name {a_name} netns {a} address {_mac(number)} type veth"
                     f" peer name {b_name} netns {b} address {_mac(number + 1)}")

    places = ["inet", *LINES, *(host for lan in LANS.values() for host in lan.hosts)]
    lines += [f"netns add {place}" for place in places]
    for site in LINES:
        wire("inet", f"to-{site}", site, "uplink")
    for site, lan in LANS.items():
        for host in lan.hosts:
            wire(site, f"to-{host}", host, "uplink")
    return "\n".join(lines) + "\n"


def set_up_routers():
    """What runs in the routers' namespaces: a shell script."""
    lines = ["set -e", "alias ip=/bin/ip"]
    inside = {"inet": []}
    for site, line in LINES.items():
        prefix = line.address.rpartition("/")[2]
        inside["inet"] += [f"addr add {line.router}/{prefix} dev to-{site}", f"link set to-{site} up"]
        lines += [f"ip netns exec inet tc qdisc add dev to-{site} {qdisc}" for qdisc in (
            "root handle 1: prio bands 2 priomap" + 16 * " 0",
            f"parent 1:1 netem delay {line.delay} loss {line.loss}", f"parent 1:2 netem delay {FAR_MS}ms")]
    for site, lan in LANS.items():
        inside[site] = ["link set lo up", f"addr add {LINES[site].address} dev uplink", "link set uplink up",
                        f"route add default via {LINES[site].router}",
                        "link add lan type bridge mcast_snooping 0", f"addr add {lan.router} dev lan",
                        "link set lan up"]
        for host in lan.hosts:
            inside[site] += [f"link set to-{host} master lan", f"link set to-{host} up"]
        lines.append(f"ip netns exec {site} nft -f /etc/bed/nat.nft")
    inside["gw"] = ["link set lo up", f"addr add {LINES['gw'].address} dev uplink", "link set uplink up",
                    f"route add default via {LINES['gw'].router}"]
    for place, commands in inside.items():
        lines.append(f"ip -n {place} -batch - <<'end'\n" + "\n".join(commands) + "\nend")
        if place != "gw":
            lines.append(f"ip netns exec {place} sysctl -qw net.ipv4.ip_forward=1")
    for node in EVERYBODY:
        lines.append(f"ip -n {node} link set lo up")
    lines.append("ip netns exec inet nft -f /etc/bed/internet.nft")
    return "\n".join(lines) + "\n"


def node_settings(name, gateway_name):
    site = site_of(name)
    address = LINES[name].address if site == name else LANS[site].hosts[name]
    router = LINES[name].router if site == name else LANS[site].router.partition("/")[0]
    return NODE_SETTINGS.format(name=name, gateway_name=gateway_name, home=HOME, folder=f"/nodes/{name}",
                                gateway=public("gw"), address=address, router=router,
                                port=LIGHTHOUSE_PORT if name in LIGHTHOUSES else 0)


class BedFailed(AssertionError):
    pass


class Bed:
    """The guest with all of it, made once for the tests of a file. Nobody is maintained before start()."""

    def __init__(self, *, programs=(), settings=None):
        self._folder = tempfile.TemporaryDirectory(prefix="bed.")
        self.org = Org.make(pathlib.Path(self._folder.name) / "org")
        gateway = self.org.gateway(pathlib.Path(self._folder.name) / "gw")
        files = {f"{HOME}/{file.name}": (file, 0o600)
                 for file in (self.org.ca, self.org.folder / "org.conf", self.org.signer, self.org.signer_key,
                              gateway.certificate, gateway.key, gateway.wireguard_key)}
        files |= {f"{HOME}/gateway.conf": GATEWAY_SETTINGS, f"{HOME}/org-ca.pem": self.org.ca,
                  "/etc/bed/topology": topology(), "/etc/bed/routers.sh": set_up_routers(),
                  "/etc/bed/nat.nft": NAT, "/etc/bed/internet.nft": INTERNET}
        for name in EVERYBODY:
            files[f"/nodes/{name}/preboot.conf"] = node_settings(name, self.org.gateway_name)
        files |= settings or {}  # path in the guest → content, for all nodes alike
        agents = [self._stripped(OUT / f"agent/{name}/fortros-{name}") for name in ("gateway", "preboot", "maintainer")]
        self.guest = Guest("bed", programs=["wg", "ip", "tc", "nft", "ping", *agents, *programs], files=files,
                           modules=MODULES, memory_mib=MEMORY_MIB, prefer_programs=True, own_time=True)
        atexit.register(self.guest.stop)
        self.guest.__enter__()
        self.guest.run("/bin/ip -batch /etc/bed/topology && sh /etc/bed/routers.sh")
        self.guest.run("mkdir -p /run/gateway /run/traffic")
        self._add("far", _both_ways(FAR))
        self.gateway_server = GuestGateway(self.guest, command="ip netns exec gw fortros-gateway serve")
        self.gateway_server.start()
        self.addresses = {}
        self.keys = {}
        with self.telling():
            self._enrol(LIGHTHOUSES)
            for name in LIGHTHOUSES:
                self.gateway("lighthouse set", self.addresses[name], f"--endpoint {public(name)}:{LIGHTHOUSE_PORT}")
            self._enrol(NODES)

    def start(self):
        with self.telling():
            self.start_maintainers(EVERYBODY)
        return self

    def _stripped(self, program):
        """Without its symbols, which are most of it: all files of the guest are in its memory."""
        to = pathlib.Path(self._folder.name) / program.name
        subprocess.run(["strip", "-o", to, program], check=True)
        return to

    # --- commands ---

    def run(self, command, **options):
        """A shell command in the guest's own namespace; its output."""
        return self.guest.run(command, **options).stdout

    def at(self, place, command, **options):
        """A program with its arguments in a namespace; its output."""
        return self.run(f"ip netns exec {place} {command}", **options)

    def until(self, command, timeout_s, pause_s=0.5):
        """Until a shell command succeeds, asked now and then: the one CPU is needed for what is waited for."""
        done = self.guest.run(f"until {{ {command}\n}} >/run/until 2>&1; do usleep {int(pause_s * 1e6)}; done",
                              check=False, timeout_s=timeout_s)
        assert done.status == 0, f"not within {timeout_s} s: {command}\n{self.run('cat /run/until')}"

    def now_s(self):
        """By the guest's clock, as all seconds here."""
        return float(self.run("cat /proc/uptime").split()[0])

    def sleep(self, seconds):
        """Where time itself is what a test is about."""
        self.run(f"sleep {seconds}", timeout_s=seconds + 60)

    def told(self):
        """What everybody has said last and sees now, for a failure's message; not a word when the guest has none."""
        if not self.guest.machine.running():
            return "(the guest is dead)"
        return self.run("cat /proc/uptime; tail -n 12 /run/gateway.log /nodes/*/log /nodes/*/serf.log; for node in /nodes/*; do echo; echo \"$node:\";"
                        " fortros-maintainer status --run-directory $node/run; done", check=False)

    # --- the gateway ---

    def gateway(self, *words):
        """An admin's command; what it printed."""
        return self.at("gw", f"fortros-gateway {' '.join(map(str, words))} 2>/run/gateway.err || "
                             "{ cat /run/gateway.err >&2; exit 1; }")

    # --- nodes ---

    def _enrol(self, names):
        """Beside each other; the agent's words are in /nodes/NAME/preboot.log."""
        for name in names:
            role = "lighthouse" if name in LIGHTHOUSES else "node"
            invite = self.gateway("invite create", f"--hostname {name} --role {role}")
            self.guest.put(f"/nodes/{name}/invite", invite, 0o600)
        starts = "\n".join(
            f"(cd /nodes/{name} && ip netns exec {name} fortros-preboot --config preboot.conf"
            f" --run-directory /nodes/{name}/run >preboot.log 2>&1; echo $? >status) &" for name in names)
        statuses = " ".join(f"/nodes/{name}/status" for name in names)
        self.run(f"{starts}\nwait\n[ \"$(cat {statuses} | sort -u)\" = 0 ] || tail -n 20 /nodes/*/preboot.log >&2\n"
                 f"[ \"$(cat {statuses} | sort -u)\" = 0 ]", timeout_s=180)
        for name in names:
            hand_off = self.hand_off(name)
            self.addresses[name] = hand_off["node"]["overlay_address"]
            self.keys[name] = hand_off["node"]["public_key"]

    def hand_off(self, name):
        return json.loads(self.guest.read(f"/nodes/{name}/run/bootstrap.json"))

    def start_maintainers(self, names, program="fortros-maintainer"):
        self.run("\n".join(f"ip netns exec {name} {program} run --run-directory /nodes/{name}/run"
                           f" >>/nodes/{name}/log 2>&1 & echo $! >/nodes/{name}/pid" for name in names))
        for name in names:
            self.until(f"[ -s /nodes/{name}/run/maintainer.json ] || ! kill -0 $(cat /nodes/{name}/pid)", 60)
            assert self.runs(name), self.run(f"tail /nodes/{name}/log")

    def signal_maintainer(self, name, signal):
        """Ends one, and returns when it is gone."""
        self.run(f"kill -{signal} $(cat /nodes/{name}/pid)")
        self.until(f"! kill -0 $(cat /nodes/{name}/pid) 2>/dev/null", 30, pause_s=0.1)

    def restart_maintainer(self, name, signal, program="fortros-maintainer"):
        self.signal_maintainer(name, signal)
        self.run(f"rm -f /nodes/{name}/run/maintainer.json")
        self.start_maintainers([name], program)

    def runs(self, name):
        return self.guest.run(f"kill -0 $(cat /nodes/{name}/pid) 2>/dev/null", check=False).status == 0

    def status(self, name):
        return json.loads(self.at(name, f"fortros-maintainer status --json --run-directory /nodes/{name}/run"))

    # --- the internet ---

    def cut(self, *pairs):
        """Nothing goes between the two sites of each pair any more, either way, and nobody is told."""
        self._add("cut", _both_ways(pairs))

    def cut_one_way(self, *pairs):
        """Nothing goes from the first to the second."""
        self._add("cut", pairs)

    def cut_off(self, *sites):
        """From everybody."""
        self.cut(*((site, other) for site in sites for other in LINES if other != site))

    def _add(self, which, pairs):
        elements = ", ".join(sorted({f"{public(one)} . {public(other)}" for one, other in pairs}))
        if elements:
            self.at("inet", f"nft add element ip paths {which} '{{ {elements} }}'")

    def cut_lan(self, one, other, is_cut=True):
        """The same between two of the office's LAN; the router still hears both."""
        word = "on" if is_cut else "off"
        for name in (one, other):
            self.run(f"ip -n office link set to-{name} type bridge_slave isolated {word}")

    def heal(self):
        self.at("inet", "nft flush set ip paths cut")
        for name in LANS["office"].hosts:
            self.run(f"ip -n office link set to-{name} type bridge_slave isolated off", check=False)
        if self.guest.run("ip -n office link show to-laptop", check=False).status != 0:
            self.carry_laptop("office")

    @contextlib.contextmanager
    def telling(self):
        """What fails within tells what everybody has said."""
        try:
            yield self
        except Exception as error:
            raise BedFailed(f"{self.told()}\n{type(error).__name__}: {error}") from error

    @contextlib.contextmanager
    def trial(self):
        """Everything is whole at its begin and at its end."""
        self.heal()
        try:
            with self.telling():
                yield self
        finally:
            self.heal()

    def flows(self):
        """What has gone through the internet: (from site, to site) → Flow."""
        sites = {public(site): site for site in LINES}
        found = {}
        listed = json.loads(self.at("inet", "nft -j list set ip watch flows"))["nftables"]
        for element in next(entry["set"] for entry in listed if "set" in entry).get("elem", ()):
            pair = element["elem"]["val"]["concat"]
            names = tuple(sites.get(address, address) for address in pair)
            counter = element["elem"]["counter"]
            found[names] = Flow(counter["packets"], counter["bytes"])
        return found

    def carry_laptop(self, to="hotel"):
        """Out of one LAN and into another, where it gets another address; and back."""
        at, address, router = (("office", LAPTOP_AT_HOTEL, LANS["hotel"].router) if to == "hotel"
                               else ("hotel", LANS["office"].hosts["laptop"], LANS["office"].router))
        self.run(f"""
            set -e
            ip -n {at} link set to-laptop netns {to}
            ip -n {to} link set to-laptop master lan up
            ip -n laptop -4 addr flush dev uplink
            ip -n laptop addr add {address} dev uplink
            ip -n laptop route add default via {router.partition('/')[0]}
        """)

    # --- traffic over the overlay ---

    def pings(self, one, other, **options):
        return Pings(self, one, self.addresses[other], **options)

    def session(self, one, other):
        return Session(self, one, other)

    def reaches(self, one, other, timeout_s=60):
        """Waits for one answered ping."""
        self.until(f"ip netns exec {one} ping -n -c 1 -W 2 {self.addresses[other]}", timeout_s)

    def interface_to(self, one, other):
        """Where the kernel would send what goes to another node."""
        said = self.run(f"ip -n {one} -6 route get {self.addresses[other]}")
        return re.search(r" dev (\S+)", said)[1]

    def until_direct(self, one, other, timeout_s, is_direct=True):
        word = "" if is_direct else "! "
        self.until(" && ".join(f"{word}ip -n {a} -6 route get {self.addresses[b]} | grep -q 'dev fortros0 '"
                               for a, b in ((one, other), (other, one))), timeout_s)

    def way(self, one, other):
        """The lines that real packets take between two nodes now: the flows that carry all of some pings. Each must
        be answered."""
        way, said = self._way(one, other)
        assert way is not None, f"{one} to {other}: {said}"
        return way

    def _way(self, one, other, count=10):
        before = self.flows()
        done = self.guest.run(f"ip netns exec {one} ping -n -c {count} -i 0.1 -W 5 {self.addresses[other]}",
                              check=False)
        after = self.flows()
        if f" {count} received" not in done.stdout:
            return None, done.stdout
        return {pair for pair, flow in after.items()
                if flow.packets - before.get(pair, Flow()).packets >= count}, done.stdout

    def leads_by(self, node, address, relay):
        """A shell condition: what the node sends to an address goes through this lighthouse."""
        return (f"link=$(ip -n {node} -6 route get {address} | sed 's/.* dev \\([^ ]*\\).*/\\1/')\n"
                f"ip netns exec {node} wg show $link peers | grep -qF '{self.keys[relay]}'")

    def until_by(self, one, other, relays, timeout_s):
        """Until each of two nodes sends to the other through a lighthouse of its own."""
        for node, to, relay in ((one, other, relays[0]), (other, one, relays[1])):
            self.until(self.leads_by(node, self.addresses[to], relay), timeout_s, pause_s=2)

    def until_way(self, one, other, expected, timeout_s):
        """Until real packets take these lines at least, or for an empty set none at all."""
        deadline = self.now_s() + timeout_s
        while True:
            way, said = self._way(one, other)
            if way is not None and (way >= expected if expected else not way):
                return
            self.sleep(2)
            assert self.now_s() < deadline, \
                f"{one} to {other} not within {timeout_s} s by {expected}, but by {way}: {said}"
