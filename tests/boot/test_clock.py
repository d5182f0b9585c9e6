"""A node whose hardware clock is wrong at power-on: it comes up, its clock is right before WireGuard
speaks, and the gateway takes its handshakes, now and afterwards.

One world, whose clock is right, and one node with the same NVRAM through all boots but one. The org is a year
old, the image thirty days, and the gateway's certificate was issued two days ago:

  1970      enrols. What the firmware makes of 1970 is its own affair: OVMF's clock shows 2070 then
  2000      before the image was built
  far       ten years ahead, beyond the window. Then its real root speaks to the gateway from there
  after     the clock is right again, and the gateway's kernel has seen those handshakes
  ahead     three hours ahead, which nothing but the gateway can tell: the fast start speaks from there
  behind    three hours behind: the fast start speaks from the past
  new       another node's first boot, three hours behind: it has nothing to start from but the gateway
  lied to   the clock is right, and the gateway says that it is after its own certificate's end

The image's init goes on into the real root whatever the agent says, so that it can be looked at there.
"""

import atexit
import dataclasses
import datetime
import functools
import pathlib
import re
import tempfile

from lib import image, nvram, pcap, preboot_console, qemu
from lib.node import Node
from lib.org import Org, certs, now
from lib.world import GATEWAY_ADDRESS, GATEWAY_NAME, PUBLIC_RESOLVER, World

TIME_LIMIT_S = 1500
TAKES_S = 320
DAY, HOUR = datetime.timedelta(days=1), datetime.timedelta(hours=1)
FAR = 3653 * DAY
BUILT = (now() - 30 * DAY).replace(microsecond=0)
SETTINGS = f"""[Organisation]
GatewayName={GATEWAY_NAME}
[Discovery]
PublicResolvers={PUBLIC_RESOLVER}
AfterEnrollment=cached
[Failure]
TotalTimeout=90s
[Clock]
BuildTime={BUILT:%Y-%m-%dT%H:%M:%SZ}
"""
GO_ON = "fortros-init.on_failure=continue"
PINGS = 2
# The agent leaves a clock alone that is off by five seconds; the rest is for whoever is slow.
CLOCK_SLACK_S = 15


@dataclasses.dataclass
class Boot:
    """What one boot came to."""

    verdict: preboot_console.Verdict
    console: str
    events: list
    hand_off: dict
    packets: list
    off_s: float  # how far the system's clock is from the world's, in the real root
    hardware_off_s: float  # and the hardware clock
    pings_answered: int
    pings_of_new_session: int  # begun in the real root, by the clock as the agent has left it
    state: bytes

    def index(self, event, **fields):
        """Where an event is among all; the first of its kind with these fields."""
        for number, entry in enumerate(self.events):
            if entry["event"] == event and all(entry.get("fields", {}).get(key) == value for key, value in fields.items()):
                return number
        raise AssertionError(f"no event {event} {fields} among {[entry['event'] for entry in self.events]}")

    def said(self, event):
        return [entry["message"] for entry in self.events if entry["event"] == event]

    def clock_stage(self):
        found, = [entry["message"] for entry in self.events if entry.get("fields", {}).get("stage") == "clock"]
        return found

    def first(self, kind, *, to_gateway=True):
        """The number of the first packet of a kind of WireGuard's."""
        return next(number for number, packet in enumerate(self.packets) if packet.kind == "wireguard"
                    and pcap.WIREGUARD_TYPES[packet.payload[0]] == kind
                    and (packet.destination == GATEWAY_ADDRESS) == to_gateway)

    def tls_to_gateway(self):
        return [number for number, packet in enumerate(self.packets)
                if packet.kind == "tls" and packet.destination == GATEWAY_ADDRESS and packet.payload]


class Stage:
    """The world, the node and its image."""

    def __init__(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="clock-"))
        cable = qemu.Cable(folder)
        org = Org.make(folder / "org", GATEWAY_NAME)
        org.redate(now() - 365 * DAY, now() + 3650 * DAY)
        certs("issue-signer", org.folder)
        gateway = org.forge(org.gateway(folder / "gateway"), begin=-2 * DAY, end=5 * DAY)
        self.world = World(folder / "world", cable.b, {"honest": (org, gateway)})
        atexit.register(self.world.stop)
        self.world.__enter__()
        self.world.start_resolvers()
        self.world.start_gateway("honest")
        self.folder, self.org = folder, org
        self.uki = self.image("node.efi", SETTINGS)
        self.node = Node(folder / "node", cable.a)

    def image(self, name, settings):
        file = (self.folder / name).with_suffix(".conf")
        file.write_text(settings)
        return image.build(self.folder / name, settings=file, ca=self.org.ca, invite=self.world.create_invite(),
                           command_line=GO_ON)

    def boot(self, name, clock, uki=None, afterwards=None, node=None):
        node = node or self.node
        with node.boot(name, uki or self.uki, clock=clock) as running:
            running.wait_for_real_root()
            verdict = running.verdict()
            events = running.events()
            off = [self.off(running, command) for command in ("date +%s", "cat /sys/class/rtc/rtc0/since_epoch")]
            hand_off, pings = {}, [0, 0]
            if verdict.status == 0:
                hand_off = running.hand_off()
                peer = hand_off["peers"][0]
                pings = [ping(running, peer), new_session(running, peer)]
            if afterwards:
                afterwards(running, hand_off)
            running.power_off()
            console = running.machine.console.text()
        return Boot(verdict, console, events, hand_off, running.packets(), *off, *pings,
                    nvram.Nvram(node.firmware.variables).ours()["FortrosState"].data)

    def off(self, running, command):
        """Seconds from the world's clock, which is read before and after."""
        before = int(self.world.run("date +%s").stdout)
        shown = int(running.run(command).stdout)
        after = int(self.world.run("date +%s").stdout)
        return min(shown - before, 0) or max(shown - after, 0)


def ping(running, peer):
    said = running.run(f"ping -c {PINGS} -W 5 {peer['overlay_address']}", check=False).stdout
    answered = re.search(r"(\d+) packets received", said)
    return int(answered[1]) if answered else 0


def new_session(running, peer):
    """The node forgets its session and begins another; how many pings are answered then."""
    key = peer["public_key"]
    interface = re.search(rf"^(\S+)\t{re.escape(key)}$", running.run("wg show all peers").stdout, re.M)[1]
    running.run(f"wg showconf {interface} >/run/again && wg set {interface} peer '{key}' remove && "
                f"wg setconf {interface} /run/again && rm /run/again")
    return ping(running, peer)


def speak_from_the_future(running, hand_off):
    """Poisons the gateway's kernel: it takes no handshake any more that is not from there, too."""
    peer = hand_off["peers"][0]
    right = int(running.run("date +%s").stdout)
    running.run(f"date -s @{right + int(FAR.total_seconds())}")
    assert new_session(running, peer) == PINGS, "the gateway does not answer from the start"
    running.run(f"date -s @{right + 60}")
    assert new_session(running, peer) == 0, "the gateway takes what it should not: this test shows nothing"


@functools.cache
def boots():
    """All boots by their names."""
    stage = Stage()
    done = {"1970": stage.boot("1970", datetime.datetime(1970, 1, 1)),
            "2000": stage.boot("2000", datetime.datetime(2000, 1, 1)),
            "far": stage.boot("far", now() + FAR, afterwards=speak_from_the_future),
            "after": stage.boot("after", None),
            "ahead": stage.boot("ahead", now() + 3 * HOUR),
            "behind": stage.boot("behind", now() - 3 * HOUR),
            "new": stage.boot("new", now() - 3 * HOUR, uki=stage.image("new.efi", SETTINGS),
                              node=Node(stage.folder / "new", stage.node.plug))}
    quick = stage.image("quick.efi", SETTINGS.replace("TotalTimeout=90s", "TotalTimeout=20s")
                        + "[WireGuard]\nFastStart=no\n")
    stage.world.run(f"date -s @{int((now() + 6 * DAY).timestamp())}")
    done["lied to"] = stage.boot("lied-to", None, uki=quick)
    return done


def expect(have, want, what):
    assert have == want, f"{what} is {have!r}, not {want!r}"


JOINED = ("1970", "2000", "far", "after", "ahead", "behind", "new")


def test_node_comes_up_whatever_the_clock_said():
    """A battery for two euros would keep a machine out of its org."""
    for name in JOINED:
        boot = boots()[name]
        expect(boot.verdict.status, 0, f"the exit status of '{name}'")
        assert boot.hand_off["gateway"]["handshake_answered"], f"no handshake in '{name}'"
        expect(boot.pings_answered, PINGS, f"the number of pings answered in '{name}'")


def test_clock_is_right_after_the_join():
    """The real root would begin with a wrong clock, and so would the next boot."""
    for name in JOINED:
        boot = boots()[name]
        assert abs(boot.off_s) <= CLOCK_SLACK_S, f"the clock is off by {boot.off_s} s in '{name}'"
        assert abs(boot.hardware_off_s) <= CLOCK_SLACK_S, f"the hardware clock is off by {boot.hardware_off_s} s in '{name}'"


def test_gateway_takes_the_next_handshake_too():
    """One handshake from the future, and every later one would be dropped without a word."""
    for name in JOINED:
        expect(boots()[name].pings_of_new_session, PINGS, f"the number of pings answered by a new session in '{name}'")


def test_clock_is_set_before_the_first_wireguard_packet():
    """It would carry the wrong time."""
    for name in ("1970", "2000", "far", "new"):
        boot = boots()[name]
        assert boot.index("clock-set") < boot.index("stage", stage="wireguard")
        # The maintainer asks the gateway later, by connections of its own.
        first = boot.first("initiation")
        joins = {boot.packets[number].source_port for number in boot.tls_to_gateway() if number < first}
        assert joins, f"it spoke before it had asked anybody in '{name}'"
        last = max(number for number in boot.tls_to_gateway() if boot.packets[number].source_port in joins)
        assert last < first, f"it spoke too early in '{name}'"


def test_untrusted_clock_starts_nothing_from_memory():
    """An old set, or a handshake from another year, would count."""
    for name in ("2000", "far"):
        boot = boots()[name]
        assert "the clock is not trusted" in boot.said("no-fast-start")[0], boot.said("no-fast-start")
        assert not boot.said("fast-start")


def test_clock_stage_says_what_is_wrong():
    """Nobody would think of the battery."""
    floor = f"{BUILT:%Y-%m-%dT%H:%M:%SZ}"
    assert "not trusted: " in boots()["1970"].clock_stage(), boots()["1970"].clock_stage()
    # By then it remembers the gateway's certificate, which is newer than the image.
    told = re.search(r"not trusted: it is (\S+) or later", boots()["2000"].clock_stage())
    assert told and told[1] > floor, boots()["2000"].clock_stage()
    assert "not trusted: too long after" in boots()["far"].clock_stage(), boots()["far"].clock_stage()
    for name in ("after", "ahead", "behind", "new"):
        assert "not trusted" not in boots()[name].clock_stage(), boots()[name].clock_stage()
    assert re.search(r"fortros-preboot: the clock said \S+ and is set to \S+, the gateway's time", boots()["2000"].console)


def test_clock_that_is_right_is_left_alone():
    """It would jump at every boot."""
    expect(boots()["after"].said("clock-set"), [], "what was said of setting the clock")


def test_fast_start_from_the_future_is_forgotten():
    """The gateway would take no handshake for three hours."""
    ahead = boots()["ahead"]
    ahead.index("fast-start-handshake")  # it was answered, at a time three hours ahead
    assert ahead.index("fast-start") < ahead.index("clock-stepped-back") < ahead.index("stage", stage="wireguard")
    assert not ahead.said("link-lost"), "the test's own network failed"


def test_fast_start_from_the_past_costs_nothing():
    """A clock that is behind needs no new session, and no second request."""
    assert not boots()["behind"].said("clock-stepped-back")
    assert boots()["behind"].said("clock-set")


def test_gateway_whose_time_cannot_be_is_refused():
    """One gateway with a wrong clock would set that of every node."""
    lied_to = boots()["lied to"]
    expect((lied_to.verdict.status, lied_to.verdict.name), (8, "gateway-untrusted"), "the verdict")
    assert "after its own certificate chain has ended" in lied_to.verdict.why, lied_to.verdict
    assert not lied_to.said("clock-set")
    expect(lied_to.state, boots()["behind"].state, "what is remembered")
