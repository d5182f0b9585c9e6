"""From a link to an authenticated gateway, 50 ms of round trip away.

Real programs in namespaces of this bench's own: unbound, dnsmasq's DHCP and a fortros-gateway; a delay line
makes the distance. DHCP is on the node's own network, as it is behind any router; the resolver and the gateway
are beyond the delay line.

    node  eth0 ───── lan0  router  far0 ═══ 25 ms each way ═══ far0  world
                     DHCP                                            198.51.100.53 resolver, 203.0.113.5 gateway

    cached      a link that is up, the address known     floor: 2 round trips (TCP, TLS)
    public-dns  a link that is up, the resolver known    floor: 3 (DNS, TCP, TLS)
    dhcp        from the carrier, nothing known          floor: 3, as DHCP costs next to nothing

Each round runs every setting once, by the agent and by a shell script that does one thing after the other
(tests/bench/sequential.sh), so that both meet the same machine. What is told are medians.
"""

import argparse
import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import random
import re
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests"))

from lib import dhcp_servers, gateway  # noqa: E402
from lib.netns import Net, Process  # noqa: E402

AGENT = TOP / "build/out/agent/preboot/fortros-preboot"
GATEWAY = TOP / "build/out/agent/gateway/fortros-gateway"
SCRIPT = TOP / "tests/bench/sequential.sh"
ROUND_TRIP_MS = 50
RUNS, RUNS_LIMIT = 20, 500
ONE_RUN_LIMIT_S = 20
ROUTER, NODE, GATEWAY_ADDRESS, RESOLVER = "192.0.2.1", "192.0.2.7", "203.0.113.5", "198.51.100.53"
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
POLLS_S = 1.0  # how often the script looks for the carrier


@dataclasses.dataclass(frozen=True)
class Setting:
    name: str
    title: str
    round_trips: int
    aim_floor: float | None
    aim_script: float | None
    sources: str
    with_dhcp: bool


SETTINGS = [
    Setting("cached", "link up, cached address", 2, 1.3, None, "cached", False),
    Setting("public-dns", "link up, public DNS", 3, 1.4, None, "public-dns", False),
    Setting("dhcp", "carrier, DHCP, public DNS", 3, None, 0.35, "public-dns", True),
]


# --- the world ---

UNBOUND = """\
server:
    interface: {resolver}
    access-control: 0.0.0.0/0 allow
    do-daemonize: no
    chroot: ""
    username: ""
    directory: "{folder}"
    pidfile: ""
    use-syslog: no
    verbosity: 1
    module-config: "iterator"
    local-zone: "{domain}." static
    local-data: "{name}. A {gateway}"
    local-data: "_fortros-gateway._tcp.{domain}. SRV 10 0 443 {name}."
remote-control:
    control-enable: no
"""

AGENT_SETTINGS = """\
[Organisation]
GatewayName={name}
Domain={domain}
CA={ca}
{known}
[Discovery]
Sources={sources}
PublicResolvers={resolver}
[Network]
Interfaces=eth0
{network}
[Node]
KeyStore=ephemeral
StateStore=file:{state}
[Failure]
TotalTimeout={limit}s
"""


class World:
    def __init__(self, net, folder):
        self.net = net
        self.node, self.router, self.far = map(net.namespace, ("node", "router", "world"))
        net.wire(self.node, "eth0", self.router, "lan0")
        self.router.run("ip", "address", "add", f"{ROUTER}/24", "dev", "lan0")
        self.line = Process([sys.executable, TOP / "tests/lib/delay_line.py", f"{self.router.path}:far0",
                             f"{self.far.path}:far0", str(ROUND_TRIP_MS / 2)], "delay line")
        self.line.wait_for("the wire is up")
        for host in (self.router, self.far):
            host.run("ip", "link", "set", "far0", "up")
        self.router.sysctl("net.ipv4.ip_forward", 1)
        for address in (GATEWAY_ADDRESS, RESOLVER):
            self.router.run("ip", "route", "add", address, "dev", "far0")
            self.far.run("ip", "address", "add", f"{address}/32", "dev", "far0")
        self.far.run("ip", "route", "add", "192.0.2.0/24", "dev", "far0", "src", GATEWAY_ADDRESS)

        self.site = gateway.Site(folder)
        settings = self.site.settings.read_text(encoding="ascii")
        self.site.settings.write_text(settings.replace(f"{gateway.ADDRESS}:{gateway.PORT}", f"{GATEWAY_ADDRESS}:443"),
                                      encoding="ascii")
        org = self.site.org
        self.name, self.domain, self.ca = org.gateway_name, org.domain, org.ca
        unbound = net.file("unbound.conf", UNBOUND.format(resolver=RESOLVER, folder=net.folder, domain=self.domain,
                                                          name=self.name, gateway=GATEWAY_ADDRESS))
        self.far.start("unbound", "-d", "-c", unbound, ready="start of service")
        dhcp_servers.dnsmasq(self.router, "lan0", f"option:router,{ROUTER}", f"option:dns-server,{RESOLVER}")
        self.far.start(GATEWAY, "serve", "--config", self.site.settings, ready="event=serving")
        self.flags = self.router.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.captured = self.node.capture("eth0")

    def set_carrier(self, on):
        """At once, and without a program's start in between; when, in seconds since the epoch."""
        name = struct.pack("16sH22x", b"lan0", 0)
        flags, = struct.unpack_from("H", fcntl.ioctl(self.flags, SIOCGIFFLAGS, name), 16)
        flags = flags | IFF_UP if on else flags & ~IFF_UP
        at = time.time()
        fcntl.ioctl(self.flags, SIOCSIFFLAGS, struct.pack("16sH22x", b"lan0", flags))
        return at

    def reset(self, *, link_up, carrier):
        """The node as it was before it ran anything: a link without addresses."""
        self.node.run("ip", "link", "set", "eth0", "down")
        self.node.run("ip", "address", "flush", "dev", "eth0")
        self.node.run("ip", "neighbour", "flush", "dev", "eth0")
        self.set_carrier(carrier)
        if link_up:
            self.node.run("ip", "link", "set", "eth0", "up")

    def measured_round_trips_ms(self, count):
        self.reset(link_up=True, carrier=True)
        self.configure_link()
        said = self.node.run("ping", "-n", "-c", count, "-i", "0.1", GATEWAY_ADDRESS)
        return [float(found) for found in re.findall(r"time=([\d.]+) ms", said)][1:]  # the first asks by ARP, too

    def configure_link(self):
        self.node.run("ip", "address", "add", f"{NODE}/24", "dev", "eth0")
        self.node.run("ip", "route", "add", "default", "via", ROUTER)


# --- one run ---

def run_agent(world, setting, number):
    """What `fortros-preboot probe` reports, and when the carrier came, if that is where the time begins."""
    folder = world.net.folder / f"agent.{setting.name}.{number}"
    folder.mkdir()
    settings = folder / "preboot.conf"
    network = "Mode=auto" if setting.with_dhcp else f"Mode=static\nAddress={NODE}/24\nGateway={ROUTER}"
    settings.write_text(AGENT_SETTINGS.format(
        name=world.name, domain=world.domain, ca=world.ca, sources=setting.sources,
        known=f"Gateways={GATEWAY_ADDRESS}" if setting.sources == "cached" else "", resolver=RESOLVER,
        network=network, state=folder / "state", limit=ONE_RUN_LIMIT_S), encoding="ascii")
    nothing = folder / "command-line"
    nothing.touch()
    world.reset(link_up=False, carrier=not setting.with_dhcp)
    command = world.node.command(AGENT, "probe", "--json", "--config", settings, "--kernel-command-line", nothing)
    with subprocess.Popen(command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as agent:
        carrier = None
        try:
            if setting.with_dhcp:
                world.node.until(lambda: "UP" in world.node.ip("link", "show", "eth0")[0]["flags"])
                carrier = world.set_carrier(True)
            out, said = agent.communicate(timeout=ONE_RUN_LIMIT_S)
        finally:
            agent.kill()
    print(out, said)
    report = json.loads(out)
    assert report["winner"], f"{setting.name}: the agent did not come through: {out}{said}"
    return report, carrier


def run_script(world, setting, carrier_known):
    """Seconds from the start, or from the carrier, to the authenticated gateway."""
    options = []
    if setting.with_dhcp:
        options += ["--dhcp"] if carrier_known else ["--carrier", POLLS_S, "--dhcp"]
    if setting.sources == "public-dns":
        options += ["--dns", RESOLVER]
    world.reset(link_up=True, carrier=not setting.with_dhcp)
    if not setting.with_dhcp:
        world.configure_link()
    began = world.set_carrier(True) if carrier_known else None
    script = Process(world.node.command(SCRIPT, *options, world.name, f"_fortros-gateway._tcp.{world.domain}",
                                        world.ca, GATEWAY_ADDRESS), "script")
    if began is None:
        time.sleep(random.uniform(0, POLLS_S))  # the carrier comes at any moment of its round
        began = world.set_carrier(True)
    line = script.wait_for(r"^\d+\.\d+ \d+\.\d+$", ONE_RUN_LIMIT_S)
    ended = time.time()
    script.stop()
    verified_s, total_s = map(float, line.split())
    return ended - began - (total_s - verified_s)


# --- where the time goes ---

POINTS = ("DHCP begins", "DHCP has answered", "the link is usable", "DNS is asked", "DNS has answered", "TCP begins",
          "TCP has answered", "TLS begins", "TLS has answered", "authenticated")


class Timeline:
    """What the agent has told, on the clock of the packets, in seconds since the epoch: its TCP attempt began when the
    packet left."""

    def __init__(self, report, carrier, packets):
        # Of TCP only the connection that spoke TLS: the script's last one may still be closing.
        ports = {p.source_port for p in packets if p.destination_port == 443 and p.payload}
        self.packets = [p for p in packets if p.kind != "tls" or {p.source_port, p.destination_port} & ports]
        began = next(p.seconds for p in self.packets if p.destination_port == 443)
        zero = began - report["winner"]["began_us"] / 1e6
        self.linked = zero + report["link_usable_us"] / 1e6
        self.authenticated = zero + report["winner"]["ended_us"] / 1e6
        self.start = self.linked if carrier is None else carrier


def intervals(timeline):
    """The way from the start to the end, by what was on the wire: (what, seconds), in order."""
    packets = [p for p in timeline.packets if timeline.start <= p.seconds <= timeline.authenticated]
    out = [p for p in packets if p.source_port not in (53, 67, 443)]
    back = [p for p in packets if p.source_port in (53, 67, 443)]

    def first(among, port, with_payload=False):
        return next((p.seconds for p in among if port in (p.source_port, p.destination_port)
                     and (p.payload or not with_payload)), None)

    def last(among, port):
        return next((p.seconds for p in reversed(among) if p.source_port == port and p.payload), None)

    times = (first(out, 67), last(back, 67), timeline.linked, first(out, 53), last(back, 53), first(out, 443), first(back, 443),
             first(out, 443, True), last(back, 443), timeline.authenticated)
    found, before = [], timeline.start
    for what, at in zip(POINTS, times):
        if at is not None and at >= before:
            found.append((what, at - before))
            before = at
    return found


# --- the table ---

def summary(seconds):
    return {"median_ms": round(statistics.median(seconds) * 1000, 1), "min_ms": round(min(seconds) * 1000, 1),
            "max_ms": round(max(seconds) * 1000, 1)}


class Measured:
    """What is known of one setting so far, in seconds."""

    def __init__(self):
        self.agent, self.script, self.script_told, self.parts = [], [], [], []

    def run(self, world, setting, number):
        if setting.with_dhcp:
            self.script.append(run_script(world, setting, carrier_known=False))
            self.script_told.append(run_script(world, setting, carrier_known=True))
        else:
            self.script.append(run_script(world, setting, carrier_known=True))
        before = len(world.captured.packets())
        report, carrier = run_agent(world, setting, number)
        packets = world.captured.packets()[before:]
        timeline = Timeline(report, carrier, packets)
        for packet in packets:
            print(f"{(packet.seconds - timeline.start) * 1000:9.2f} ms  {packet}")
        self.agent.append(timeline.authenticated - timeline.start)
        self.parts.append(intervals(timeline))

    def report(self, setting):
        floor_ms = setting.round_trips * ROUND_TRIP_MS
        agent_ms = statistics.median(self.agent) * 1000
        found = {"title": setting.title, "floor_ms": floor_ms, "agent": summary(self.agent),
                 "script": summary(self.script),
                 "of_floor": round(agent_ms / floor_ms, 2), "aim_of_floor": setting.aim_floor,
                 "of_script": round(agent_ms / (statistics.median(self.script) * 1000), 2),
                 "aim_of_script": setting.aim_script, "parts_ms": {}}
        if self.script_told:
            found["script_told_of_the_carrier"] = summary(self.script_told)
            found["of_script_told_of_the_carrier"] = round(agent_ms / (statistics.median(self.script_told) * 1000), 2)
        for what in POINTS:
            if took := [seconds for parts in self.parts for name, seconds in parts if name == what]:
                found["parts_ms"][what] = round(statistics.median(took) * 1000, 1)
        found["missed"] = [word for word, ratio, aim in (("floor", found["of_floor"], setting.aim_floor),
                                                         ("script", found["of_script"], setting.aim_script))
                           if aim is not None and ratio > aim]
        return found


def show(results):
    def ratio(value, aim):
        return f"{value:.2f}" + (f" (aim {aim})" if aim else "")

    print(f"\nmedians of {results['runs']} runs; round trip {ROUND_TRIP_MS} ms, measured {results['round_trip_ms']} ms\n")
    print(f"{'':28}{'agent ms':>10}{'floor ms':>10}{'of floor':>18}{'script ms':>11}{'of script':>18}")
    for found in results["settings"].values():
        print(f"{found['title']:28}{found['agent']['median_ms']:>10}{found['floor_ms']:>10}"
              f"{ratio(found['of_floor'], found['aim_of_floor']):>18}{found['script']['median_ms']:>11}"
              f"{ratio(found['of_script'], found['aim_of_script']):>18}")
        if "script_told_of_the_carrier" in found:
            print(f"{'  script told of the carrier':28}{'':38}{found['script_told_of_the_carrier']['median_ms']:>11}"
                  f"{found['of_script_told_of_the_carrier']:>18.2f}")
    for found in results["settings"].values():
        if found["missed"]:
            print(f"\n{found['title']}: misses its aim against the {' and the '.join(found['missed'])}; the agent's time"
                  " goes, in ms until:")
            for what, took in found["parts_ms"].items():
                print(f"  {what:24}{took:>8}")


def measure(runs, chosen):
    with tempfile.TemporaryDirectory(prefix="bench.") as folder, Net() as net:
        world = World(net, pathlib.Path(folder))
        round_trip_ms = round(statistics.median(world.measured_round_trips_ms(30)), 2)
        measured = {setting.name: Measured() for setting in chosen}
        for number in range(runs):
            print(f"run {number + 1} of {runs}", file=sys.stderr, flush=True)
            for setting in chosen:
                measured[setting.name].run(world, setting, number)
        world.line.stop()
        return {"runs": runs, "round_trip_ms": round_trip_ms,
                "settings": {setting.name: measured[setting.name].report(setting) for setting in chosen}}


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench discovery", description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=RUNS, help="of each setting (%(default)s)")
    parser.add_argument("--setting", choices=[s.name for s in SETTINGS], action="append", help="only this one")
    words = parser.parse_args()
    runs = max(1, min(words.runs, RUNS_LIMIT))
    place = TOP / os.environ.get("FORTROS_RESULT", "build/bench/discovery.json")
    place.parent.mkdir(parents=True, exist_ok=True)
    # What the programs say goes beside the result.
    with open(place.with_suffix(".log"), "w", encoding="utf-8") as log, contextlib.redirect_stdout(log):
        results = measure(runs, [s for s in SETTINGS if s.name in (words.setting or [s.name])])
    place.write_text(json.dumps(results, indent=2) + "\n", encoding="ascii")
    show(results)


if __name__ == "__main__":
    main()
