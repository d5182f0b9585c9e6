"""The main job, end to end, on real parts: prints the stages as they happen, writes report.json.

usage: tests/boot/main_job.py [--verbose] [FOLDER]

Three boots of one node, with the same NVRAM and the same root disk:

  first    empty NVRAM, a single-use invite: finds its gateway by public DNS, enrols, pivots
  second   both resolvers stopped: joins by the cached address without one DNS packet
  third    a gateway whose certificate comes from another CA with the same names: refuses it

FOLDER (by default build/run) receives the report, the consoles, and a capture of every packet.
Runs inside the Debian 13 root (scripts/run comes here). Ends with 0 when every fact of
tests/boot/test_main_job.py holds. --verbose shows the whole consoles.
"""

import collections
import dataclasses
import json
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path[:0] = [str(TESTS), str(TESTS / "boot")]

from lib import image, nvram, preboot_console, qemu
from lib.node import Node
from lib.org import Org
from lib.world import GATEWAY_ADDRESS, GATEWAY_NAME, World

TOP = TESTS.parent
SETTINGS = TESTS / "boot/main_job.conf"
PINGS = 3
# The maintainer says this when it has compared what is with what should be.
ADOPTED = r"fortros-maintainer: .*adopted"
ADOPT_TIMEOUT_S = 30
# And this when somebody has flushed the guard away; it looks every ten seconds.
REPAIRED = r"fortros-maintainer: .*guard .* was gone"
REPAIR_TIMEOUT_S = 60
INIT_TIMEOUT_S = 30


class Narrator:
    """Tells people what happens, as it happens."""

    def __init__(self, verbose=False, out=sys.stdout):
        self._verbose = verbose
        self._out = out
        self._began = time.monotonic()
        self._heard = set()  # the console shows some lines twice

    def title(self, text):
        self._heard.clear()
        print(f"\n{text}", file=self._out, flush=True)

    def say(self, text):
        print(f"{time.monotonic() - self._began:8.1f} s  {text}", file=self._out, flush=True)

    def node_line(self, line):
        """A line of the node's console: what preboot says, with the node's own time."""
        heard = preboot_console.said(line)
        if heard and heard.text not in self._heard:
            self._heard.add(heard.text)
            at = f"{heard.at_s:6.1f} s" if heard.at_s is not None else " " * 8
            print(f"{'':12}| {at}  {heard.text}", file=self._out, flush=True)
        elif self._verbose and not heard:
            print(f"{'':12}| {line}", file=self._out, flush=True)


@dataclasses.dataclass
class Boot:
    """What one boot came to."""

    name: str
    seconds: float = 0.0
    console: list = dataclasses.field(default_factory=list)
    stages: list = dataclasses.field(default_factory=list)
    verdict: preboot_console.Verdict | None = None
    packets: list = dataclasses.field(default_factory=list)
    nvram_before: dict = dataclasses.field(default_factory=dict)  # our variables by name
    nvram_after: dict = dataclasses.field(default_factory=dict)
    foreign_before: list = dataclasses.field(default_factory=list)  # everybody else's
    foreign_after: list = dataclasses.field(default_factory=list)
    in_root: dict = dataclasses.field(default_factory=dict)  # what was seen after the pivot
    in_world: dict = dataclasses.field(default_factory=dict)  # what the gateway's host saw
    peak_rss_kib: int | None = None

    @property
    def pivoted(self):
        return bool(self.in_root)

    @property
    def hand_off(self):
        return self.in_root.get("hand_off", {})

    @property
    def ping_crossed(self):
        return self.in_root.get("pings_answered", 0) > 0

    def kinds(self):
        return collections.Counter(packet.kind for packet in self.packets)

    def report(self):
        gateway = self.hand_off.get("gateway", {})
        node = self.hand_off.get("node", {})
        return {
            "boot": self.name,
            "exit_status": self.verdict.status if self.verdict else None,
            "exit_name": self.verdict.name if self.verdict else None,
            "reason": self.verdict.why if self.verdict else None,
            "source": gateway.get("source"),
            "gateway": gateway.get("endpoint"),
            "node_public_key": node.get("public_key"),
            "overlay_address": node.get("overlay_address"),
            "handshake_answered": self.in_world.get("handshake", False),
            "ping_crossed": self.ping_crossed,
            "pivoted": self.pivoted,
            "dns_packets": self.kinds()["dns"],
            "packets": dict(self.kinds()),
            "peak_rss_kib": self.peak_rss_kib,
            "stages_ms": {stage.name: stage.milliseconds for stage in self.stages},
            "seconds_from_power_on_to_off": round(self.seconds, 1),
        }


class Job:
    def __init__(self, folder, narrator=None):
        self.folder = pathlib.Path(folder)
        self.narrator = narrator or Narrator()
        self.boots = {}
        self.invite = ""
        self.footprint = {}
        self.report_path = self.folder / "report.json"

    def run(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        with tempfile.TemporaryDirectory(prefix="job-") as scratch:
            self._run(pathlib.Path(scratch))
        self.report_path.write_text(json.dumps(self.report(), indent=2) + "\n")
        return self

    def _run(self, scratch):
        say = self.narrator.say
        self.narrator.title("preparing")
        org = Org.make(scratch / "org", GATEWAY_NAME)
        gateway = org.gateway(scratch / "gateway")
        say(f"an organisation with the overlay {org.prefix}, and a gateway of it called {org.gateway_name}")
        twin = org.twin(scratch / "twin")
        impostor = twin.gateway(scratch / "impostor")
        say("another CA with the same names, and a gateway of that")
        cable = qemu.Cable(scratch)
        with World(self.folder / "world", cable.b,
                   {"honest": (org, gateway), "impostor": (twin, impostor)}) as world:
            world.start_resolvers()
            world.start_gateway("honest")
            self.invite = world.create_invite()
            say("a world: a DHCP server, a resolver on a public address, another that DHCP names, the gateway")
            uki = image.build(self.folder / "node.efi", settings=SETTINGS, ca=org.ca, invite=self.invite)
            self.footprint = image.footprint(uki)
            node = Node(self.folder / "node", cable.a)
            say(f"a node: its image ({uki.stat().st_size / 2**20:.1f} MiB), empty NVRAM, a disk with the real root")
            try:
                self._first(node, uki, world)
                self._second(node, uki, world)
                self._third(node, uki, world)
            except Exception:
                say("what the world's servers said:\n" + world.logs())
                raise

    # --- the three boots ---

    def _first(self, node, uki, world):
        self.narrator.title("first boot: empty NVRAM, a single-use invite")
        self._join("first", node, uki, world)

    def _second(self, node, uki, world):
        self.narrator.title("second boot: the same NVRAM, both resolvers stopped")
        world.stop_resolvers()
        self._join("second", node, uki, world, afterwards=lose_guard)

    def _third(self, node, uki, world):
        self.narrator.title("third boot: a gateway from another CA with the same names")
        world.start_resolvers()
        world.stop_gateway()
        world.start_gateway("impostor")
        boot = self._begin("third", node)
        with node.boot("third", uki, on_line=self.narrator.node_line) as running:
            running.wait_for_verdict()
            # After the agent's figures, which come after its verdict.
            running.machine.expect(r"fortros-init: agent failed", INIT_TIMEOUT_S, "word of the image's init")
            self._end(boot, node, running)
        boot.in_world = {"nodes": world.nodes(), "log": world.read("/var/log/gateway.log")}

    def _join(self, name, node, uki, world, afterwards=None):
        boot = self._begin(name, node)
        with node.boot(name, uki, on_line=self.narrator.node_line) as running:
            running.wait_for_real_root()
            self.narrator.say("the real root is reached")
            running.machine.expect(ADOPTED, ADOPT_TIMEOUT_S, "word of the maintainer that it has adopted")
            boot.in_root = look_around(running)
            answered = boot.in_root["pings_answered"]
            self.narrator.say(f"ping to the gateway's overlay address: {answered} of {PINGS} answered")
            boot.in_world = {"handshake": world.handshake_with(boot.hand_off["node"]["public_key"]),
                             "nodes": world.nodes(), "invites": world.invites()}
            if afterwards:
                afterwards(running, boot)
            running.power_off()
            self._end(boot, node, running)

    def _begin(self, name, node):
        boot = self.boots[name] = Boot(name)
        before = nvram.Nvram(node.firmware.variables)
        boot.nvram_before, boot.foreign_before = before.ours(), before.foreign()
        boot.seconds = -time.monotonic()
        return boot

    def _end(self, boot, node, running):
        if running.machine.running():
            running.machine.kill()
        boot.seconds += time.monotonic()
        boot.console = list(running.machine.console.lines)
        boot.stages, boot.verdict = running.stages(), running.verdict()
        boot.peak_rss_kib = running.peak_rss_kib()
        boot.packets = running.packets()
        after = nvram.Nvram(node.firmware.variables)
        boot.nvram_after, boot.foreign_after = after.ours(), after.foreign()
        kinds = boot.kinds()
        self.narrator.say("on the wire: " + ", ".join(f"{kinds[kind]} {label}" for kind, label in (
            ("dhcp", "DHCP"), ("dns", "DNS"), ("tls", "TLS"), ("wireguard", "WireGuard"))) + " packets")

    # --- what is left of it ---

    def report(self):
        return {"version": 1, "boots": [boot.report() for boot in self.boots.values()], "agent": self.footprint | {
            "peak_rss_kib": max((boot.peak_rss_kib or 0 for boot in self.boots.values()), default=0)}}


def look_around(running):
    """What can be seen from the real root."""
    hand_off = running.hand_off()
    gateway_key = hand_off["gateway"]["public_key"]
    gateway = next(peer["overlay_address"] for peer in hand_off["peers"] if peer["public_key"] == gateway_key)
    ping = running.run(f"ping -c {PINGS} -W 5 {gateway}", check=False)
    answered = re.search(r"(\d+) packets received", ping.stdout)
    return {
        "hand_off": hand_off,
        "hand_off_text": running.commands.read("/run/fortros/bootstrap.json"),
        "hand_off_mode": running.run("stat -c %a /run/fortros/bootstrap.json").stdout.strip(),
        "events": running.events(),
        "events_text": running.commands.read("/run/fortros/events.jsonl"),
        "gateway_overlay_address": gateway,
        "pings_answered": int(answered[1]) if answered else 0,
        "links": json.loads(running.run("/bin/ip -j -d addr").stdout),
        "routes": json.loads(running.run("/bin/ip -j -6 route").stdout),
        "wg": running.run("wg show all dump").stdout,
        "private_key": running.run("wg show fortros0 private-key").stdout.strip(),
        "maintainer_alive": running.run("kill -0 $(cat /run/maintainer.pid)", check=False).status == 0,
        "efivars": running.run("ls -ln /sys/firmware/efi/efivars/Fortros*", check=False).stdout,
        "efivars_mode": running.run("stat -c %a /sys/firmware/efi/efivars", check=False).stdout.strip(),
    }


def lose_guard(running, boot):
    """Flushes the guard away, as a reload of the firewall does, and waits for the maintainer to see it."""
    running.run("nft flush ruleset")
    running.machine.expect(REPAIRED, REPAIR_TIMEOUT_S, "word of the maintainer that it has put the guard back")
    boot.in_root["ruleset_after_flush"] = running.run("nft list ruleset").stdout


def table(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def summary(report):
    yes = lambda value: "yes" if value else "no"
    rows = [("boot", "exit", "source", "gateway", "overlay address", "handshake", "ping", "DNS packets", "preboot")]
    for boot in report["boots"]:
        rows.append((boot["boot"], f"{boot['exit_status']} {boot['exit_name']}", boot["source"] or "-",
                     boot["gateway"] or "-", boot["overlay_address"] or "-", yes(boot["handshake_answered"]),
                     yes(boot["ping_crossed"]), str(boot["dns_packets"]),
                     f"{sum(boot['stages_ms'].values()):.0f} ms"))
    agent = report["agent"]
    return (table(rows) + f"\n\n  fortros-preboot: {agent['bytes'] / 2**20:.2f} MiB, "
            f"{'static' if agent['static'] else 'NOT static'}, peak {agent['peak_rss_kib'] / 1024:.1f} MiB, "
            f"adds {agent['initramfs_bytes_compressed'] / 2**20:.2f} MiB to a compressed initramfs")


def check(job, narrator):
    """Every fact that the tests assert; returns what does not hold."""
    import test_main_job

    test_main_job.use(job)
    facts = {name: fact for name, fact in vars(test_main_job).items() if name.startswith("test_")}
    wrong = []
    for name, fact in facts.items():
        try:
            fact()
        except Exception as error:  # an assertion, or a value that is not there
            wrong.append(f"{name.removeprefix('test_').replace('_', ' ')}: {error or type(error).__name__}")
    narrator.say(f"{len(facts) - len(wrong)} of {len(facts)} facts hold")
    return wrong


def main(arguments):
    if "--help" in arguments or "-h" in arguments:
        print(__doc__)
        return 0
    folders = [word for word in arguments if not word.startswith("-")]
    narrator = Narrator("--verbose" in arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    job = Job(folders[0] if folders else TOP / "build/run", narrator)
    try:
        job.run()
        narrator.title("result")
        wrong = check(job, narrator)
    except KeyboardInterrupt:
        print("\ninterrupted; run it again", file=sys.stderr)
        return 130
    except (qemu.MachineError, AssertionError, RuntimeError, FileNotFoundError) as error:
        print(f"\nfailed: {error}", file=sys.stderr)
        return 1
    print("\n" + summary(job.report()))
    for line in wrong:
        print(f"\n  WRONG: {line}")
    print(f"\nreport: {job.report_path.relative_to(TOP) if job.report_path.is_relative_to(TOP) else job.report_path}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
