"""A node that looks for its gateway, and what it may find: `fortros-preboot probe` in a namespace of its
own, one cable away from a router that is the whole world: name servers, gateways, rogues, black holes.

    node [eth0 192.0.2.10]────────────[lan0 192.0.2.1] router, with every other address on its loopback

    with World() as world:
        world.gateway("203.0.113.5")
        world.resolver("9.9.9.9", "203.0.113.5")
        report = world.probe("[Discovery]", "PublicResolvers=9.9.9.9")
        assert report.winner == ("public-dns", "203.0.113.5:443")
"""

import functools
import ipaddress
import json
import pathlib
import subprocess
import tempfile

from lib.gateway import PROGRAM as GATEWAY
from lib.gateway import Site
from lib.netns import Net
from lib.org import Org

PREBOOT = pathlib.Path(__file__).resolve().parents[2] / "build/out/agent/preboot/fortros-preboot"
NODE, ROUTER = "192.0.2.10", "192.0.2.1"
NODE6, ROUTER6 = "2001:db8::10", "2001:db8::1"
STATIC = ("Mode=static", f"Address={NODE}/24", f"Gateway={ROUTER}")
STATIC6 = ("Mode=static", f"Address={NODE6}/64", f"Gateway={ROUTER6}")
BOTH = ("Mode=static", f"Address={NODE}/24 {NODE6}/64", f"Gateway={ROUTER} {ROUTER6}")
NAME = "gateway.example.org"
LIMIT_S = 120


@functools.cache
def honest_org():
    return Org.make(pathlib.Path(tempfile.mkdtemp(prefix="org.")) / "org")


@functools.cache
def rogue_org():
    """Another CA with the same subject and the same names."""
    return honest_org().twin(pathlib.Path(tempfile.mkdtemp(prefix="rogue.")) / "org")


class Report:
    """What a probe printed."""

    def __init__(self, status, values):
        self.status = status
        self.values = values

    @property
    def winner(self):
        """(source, endpoint), or None."""
        won = self.values["winner"]
        return (won["source"], won["endpoint"]) if won else None

    def attempt(self, endpoint):
        found, = [item for item in self.values["attempts"] if item["endpoint"] == endpoint]
        return found

    def tried(self):
        return [item["endpoint"] for item in self.values["attempts"]]

    def lookups(self, source):
        return [item for item in self.values["lookups"] if item["source"] == source]

    def error(self, endpoint):
        failed = self.attempt(endpoint)["error"]
        return failed and (failed["code"], failed["text"])


class World:
    def __init__(self, *, stub=False, stub_works=False):
        """With a stub the node has two cables: the first, eth0, to a router 198.51.100.1 that leads nowhere (or,
        where it works, to the world), and eth1 to the world."""
        self.net = Net()
        self.node, self.router = self.net.namespace("node"), self.net.namespace("router")
        if stub:
            self.stub = self.net.namespace("stub")
            self.net.wire(self.node, "eth0", self.stub, "lan0")
            self.stub.run("ip", "address", "add", "198.51.100.1/24", "dev", "lan0")
            for family in ("-4", "-6"):
                self.stub.run("ip", family, "route", "add", "blackhole", "default", "metric", 9999)
            self.stub.sysctl("net.ipv4.ip_forward", 1)
        if stub_works:
            self.net.wire(self.stub, "wan0", self.router, "wan0", a_up=True)
            self.stub.run("ip", "address", "add", "10.0.0.1/30", "dev", "wan0")
            self.router.run("ip", "address", "add", "10.0.0.2/30", "dev", "wan0")
            self.stub.run("ip", "route", "add", "default", "via", "10.0.0.2")
            self.router.run("ip", "route", "add", "198.51.100.0/24", "via", "10.0.0.1")
        self.net.wire(self.node, "eth1" if stub else "eth0", self.router, "lan0")
        for address in (f"{ROUTER}/24", f"{ROUTER6}/64"):
            self.router.run("ip", "address", "add", address, "dev", "lan0", *(["nodad"] if ":" in address else []))
        # What is not an address of the world is dropped without a word.
        for family in ("-4", "-6"):
            self.router.run("ip", family, "route", "add", "blackhole", "default")
        self.router.sysctl("net.ipv4.ip_forward", 1)
        self.router.sysctl("net.ipv6.conf.all.forwarding", 1)

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.net.__exit__(*what)

    def address(self, address):
        """An address where nobody listens: connections to it are refused."""
        if ":" in address:
            self.router.run("ip", "address", "add", f"{address}/128", "dev", "lo", "nodad")
        else:
            self.router.run("ip", "address", "add", f"{address}/32", "dev", "lo")

    def gateway(self, address, org=None, port=443):
        """A gateway of the honest org, or of another; it runs until the end."""
        self.address(address)
        site = Site(self.net.folder / f"gateway.{len(self.router.processes)}", org=org or honest_org())
        endpoint = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        text = site.settings.read_text(encoding="ascii")
        site.settings.write_text(text.replace("Listen=127.0.0.1:8443", f"Listen={endpoint}"), encoding="ascii")
        site.server = self.router.start(GATEWAY, "serve", "--config", site.settings, ready="event=serving")
        return site

    def mute_gateway(self):
        """Takes connections on the router's own address and says nothing. The listening socket."""
        listener = self.router.socket()
        listener.settimeout(LIMIT_S)
        listener.bind((ROUTER, 443))
        listener.listen()
        return listener

    def resolver(self, address, *answers, srv=(), options=(), interface=None):
        """dnsmasq, to which the gateway's name has these addresses; without any it does not exist. At an
        address of its own, or at those that an interface has already."""
        if interface:
            where = f"--interface={interface}"
        else:
            self.address(address)
            where = f"--listen-address={address}"
        # The addresses of one name are one record each: dnsmasq keeps all that are different.
        records = [f"--host-record={NAME},{answer}" for answer in answers]
        records += [f"--srv-host=_fortros-gateway._tcp.example.org,{record}" for record in srv]
        return self.router.start(
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--log-facility=-", "--log-queries", "--no-resolv",
            "--no-hosts", "--bind-interfaces", where, "--user=root", "--pid-file=",
            "--local=/example.org/", *records, *options, ready="started")

    def portal(self, address):
        """What answers in a hotel: HTTPS with a sound certificate of somebody else."""
        self.address(address)
        site = rogue_org().gateway(self.net.folder / "portal")
        rogue_org().forge(site, dns=["portal.example.net"], uris=[])
        return self.router.start("openssl", "s_server", "-accept", f"{address}:443", "-www", "-cert", site.certificate,
                                 "-key", site.key, ready="ACCEPT")

    def settings(self, *lines, network=STATIC, gateways=(), ca=None):
        folder = self.net.folder
        text = "\n".join(["[Organisation]", f"GatewayName={NAME}", f"CA={ca or honest_org().ca}",
                          f"Gateways={' '.join(gateways)}", f"Invite={folder}/invite", "[Node]", f"KeyStore=file:{folder}/key",
                          f"StateStore=file:{folder}/state", "[Network]", "LinkTimeout=20s", *network, *lines])
        return self.net.file("preboot.conf", text + "\n")

    def boot(self, *lines, invite="an-invite-that-nobody-gave", wrapper=(), **settings):
        """Starts a whole boot. It can't end well: the machine that runs this has no WireGuard."""
        self.net.file("invite", invite)
        path = self.settings("[Discovery]", *lines, **settings)
        return self.node.start(*wrapper, PREBOOT, "run", "--config", path, "--kernel-command-line", self.net.file("cmdline", ""),
                               "--run-directory", self.net.folder / "run")

    def events(self):
        """What the boot has noted; of what it writes this very moment, whole lines."""
        *lines, _ = (self.net.folder / "run/events.jsonl").read_text().split("\n")
        return [json.loads(line) for line in lines]

    def probe_command(self, settings):
        return [PREBOOT, "probe", "--json", "--config", settings, "--kernel-command-line", self.net.file("cmdline", "")]

    def probe(self, *lines, wrapper=(), **settings):
        """The report of one probe. `lines` are of [Discovery] unless they say otherwise."""
        path = self.settings("[Discovery]", *lines, **settings)
        command = self.node.command(*wrapper, *self.probe_command(path))
        done = subprocess.run(command, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=LIMIT_S,
                              check=False)
        print(done.stdout, done.stderr, sep="\n", flush=True)
        assert done.stdout.startswith("{"), f"{done.returncode}: {done.stderr}"
        return Report(done.returncode, json.loads(done.stdout))


def is_v6(endpoint):
    return ipaddress.ip_address(endpoint.rsplit(":", 1)[0].strip("[]")).version == 6
