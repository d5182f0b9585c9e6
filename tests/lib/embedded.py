"""The agent in other people's images: a Debian 13 machine that makes its own initramfs with its own tools, and
boots by it under real firmware into its own root, which its own network manager rules. Or by the reference image.

    with Embedded(folder, "dracut", PACKAGES, set_up) as play:
        first = play.boot("first", seconds=20)
        second = play.boot("second", seconds=120)

In each boot a ping crosses the tunnel from the gateway every 100 ms: in the first from the agent's last word on,
before the change to the real root; in later ones from power-on. From the first answer on every one counts.
"""

import contextlib
import dataclasses
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

from lib import image, pcap, preboot_console, qemu
from lib.debian_root import DebianRoot
from lib.node import MAC, Node
from lib.org import Org
from lib.world import GATEWAY_NAME, PUBLIC_RESOLVER, World

TOP = pathlib.Path(__file__).resolve().parents[2]
MEMORY_MIB = 768
ROOT_TIMEOUT_S = 300  # two systemds on an emulated machine that is busy
ANSWER_LIMIT_S = 60
PING_INTERVAL_S = 0.1
# What every one of these machines has; the tools that look are ours.
PACKAGES = ("systemd", "udev", "dbus", "iproute2", "wireguard-tools", "nftables", "iputils-ping", "procps")
SYSTEMD_WORDS = "systemd.show_status=no"
COMMAND_LINE = f"root=LABEL={image.ROOT_LABEL} {image.COMMAND_LINE} {qemu.KERNEL_WORDS} {SYSTEMD_WORDS}"
# On an emulated machine that is busy a gateway may need seconds to answer; nobody else is to be asked meanwhile.
SETTINGS = f"""[Organisation]
GatewayName={GATEWAY_NAME}
[Discovery]
PublicResolvers={PUBLIC_RESOLVER}
HeadStart=10s
AttemptTimeout=20s
[Failure]
TotalTimeout=60s
"""
# Longer than a slow machine boots, and to be renewed while the test looks on.
LEASE, RENEW_S, REBIND_S = "10m", 50, 90
CATCH_ALL = "[Match]\nName=*\n[Network]\nDHCP=yes\nLinkLocalAddressing=yes\n"
# How long is looked on after the real root is there.
FIRST_S, SECOND_S = 20, 120


@dataclasses.dataclass
class Pings:
    """The pings of one boot, from the first answer on."""

    sent: int
    lost: list
    before_pivot: int  # answered before the real root was there


@dataclasses.dataclass
class Boot:
    """What one boot came to, seen from the real root at its end."""

    verdict: preboot_console.Verdict
    pings: Pings
    hand_off: dict
    events: list
    packets: list
    addresses: dict  # name of a link → its global addresses
    macs: dict
    default_routes: list
    overlay_routes: list
    rules: str
    wg: dict  # interface → (public key, port)
    maintainer: str
    dhcp: list  # what the node asked the DHCP server, in order
    failed_units: str
    said: str  # of the whole console
    extra: dict = dataclasses.field(default_factory=dict)

    def uplink(self):
        """The name that the NIC has now, and its addresses."""
        name = next(name for name, mac in self.macs.items() if mac == MAC)
        return name, [address for address in self.addresses[name] if ":" not in address]

    def dns(self):
        return sum(packet.kind == "dns" for packet in self.packets)


def install_agent(root, tags="node"):
    """As a package would: by `meson install`."""
    done = subprocess.run(["meson", "install", "-C", TOP / "build/out", "--no-rebuild", "--strip", "--tags", tags,
                           "--destdir", root.folder], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    assert root.path("/usr/bin/fortros-preboot").exists(), "build/out has another prefix than /usr: run scripts/build"


def make_image(root, tool, release, output):
    """The machine's own initramfs in a UKI, or the reference image with what the machine has in /etc/fortros. What
    the tool said."""
    if tool == "reference":
        files = root.path("/etc/fortros")
        image.build(output, settings=files / "preboot.conf", ca=files / "org-ca.pem",
                    invite=(files / "invite").read_text(), command_line=SYSTEMD_WORDS, options=["--level", 3])
        return ""
    initrd = f"/boot/initrd.img-{release}"
    if tool == "dracut":
        said = root.run("dracut", "--force", "--no-hostonly", "--kver", release, initrd)
    else:
        said = root.run("mkinitramfs", "-o", initrd, release)
    done = subprocess.run(["ukify", "build", "--linux", root.path(f"/boot/vmlinuz-{release}"), "--initrd", root.path(initrd),
                           "--cmdline", COMMAND_LINE, "--output", output], check=False, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return said


def rule_by_networkd(root):
    """As the README says, and with a catch-all file beside it, as in so many places."""
    root.enable("systemd-networkd.service", "multi-user.target")
    example = root.path("/usr/lib/systemd/network/80-fortros-uplink.network.example").read_bytes()
    root.write("/etc/systemd/network/80-fortros-uplink.network", example)
    root.write("/etc/systemd/network/90-everything.network", CATCH_ALL)


class Embedded:
    """`set_up` is given the root before the image is made; `settings` are the node's, beside the usual."""

    def __init__(self, folder, tool, packages, set_up, settings=""):
        self.folder = pathlib.Path(folder)
        self.tool = tool
        self._packages = packages
        self._set_up = set_up
        self._settings = settings
        self._stack = contextlib.ExitStack()
        self.said = ""
        self.address = None

    def __enter__(self):
        try:
            self._begin()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_):
        self._stack.close()

    def _begin(self):
        scratch = pathlib.Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="embedded-")))
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        org = Org.make(scratch / "org", GATEWAY_NAME)
        cable = qemu.Cable(scratch)
        self.world = self._stack.enter_context(World(self.folder / "world", cable.b, {"g": (org, org.gateway(scratch / "g"))}))
        self.world.run(f"sed -i s/,1h$/,{LEASE}/ /etc/world/dhcp.conf; kill $(cat /run/dhcp.pid); printf '%s\\n' "
                       f"dhcp-option=option:T1,{RENEW_S} dhcp-option=option:T2,{REBIND_S} >>/etc/world/dhcp.conf")
        self.world.run("dnsmasq -k -C /etc/world/dhcp.conf >>/var/log/dhcp.log 2>&1 & echo $! >/run/dhcp.pid")
        self.world.start_resolvers()
        self.world.start_gateway("g")

        root = DebianRoot(scratch / "root", [*PACKAGES, *self._packages])
        release = root.add_kernel()
        root.add_command_server()
        install_agent(root)
        root.enable("fortros-maintainer.service", "multi-user.target")
        root.enable("fortros-variables.service", "sysinit.target")
        root.write("/etc/fortros/preboot.conf", SETTINGS + self._settings)
        root.put("/etc/fortros/org-ca.pem", org.ca, 0o644)
        root.write("/etc/fortros/invite", self.world.create_invite(), 0o600)
        self._set_up(root)
        self.uki = self.folder / "node.efi"
        self.said = make_image(root, self.tool, release, self.uki)
        (self.folder / "image.log").write_text(self.said)
        for path in root.path("/boot").iterdir():
            path.unlink()
        disk = root.ext4(scratch / "root.ext4", image.ROOT_LABEL)
        shutil.rmtree(root.folder)
        self.node = Node(self.folder / "node", cable.a, root_disk=disk)

    # --- a boot -------------------------------------------------------------------------------------

    def boot(self, name, seconds, look=None):
        """Boots, and watches for so long after the real root is there. `look` is asked at the end for more."""
        asked = len(self._dhcp())
        if self.address:
            self._start_pings()
        with self.node.boot(name, self.uki, memory_mib=MEMORY_MIB) as running:
            verdict = running.wait_for_verdict(ROOT_TIMEOUT_S)
            assert verdict.status == 0, verdict
            if not self.address:
                self.address = preboot_console.JOINED.search(verdict.why)["address"]
                self._start_pings()
            running.wait_for_real_root(ROOT_TIMEOUT_S)
            answered = self._answered()
            running.run("/usr/bin/systemctl is-system-running --wait", check=False, timeout_s=ROOT_TIMEOUT_S)
            self.world.wait_until("grep -q 'bytes from' /run/pings", timeout_s=ANSWER_LIMIT_S)
            until = time.monotonic() + seconds
            while (left := until - time.monotonic()) > 0:
                time.sleep(min(left, 5))
                assert running.machine.running(), "the machine has ended"
            boot = self._look_around(running, verdict, len(answered_in(answered)), asked)
            boot.extra = look(running) if look else {}
            running.run("sync")
        return boot

    def _start_pings(self):
        self.world.run(f"/bin/ping -n -O -i {PING_INTERVAL_S} {self.address} >/run/pings 2>&1 & echo $! >/run/ping.pid")

    def _answered(self):
        return self.world.read("/run/pings")

    def _stop_pings(self):
        """Those that are under way get their time."""
        self.world.run("kill -STOP $(cat /run/ping.pid); sleep 2; kill -CONT $(cat /run/ping.pid); sleep 1; "
                       "kill -INT $(cat /run/ping.pid); sleep 0.5")
        return self.world.read("/run/pings")

    def _dhcp(self):
        """What the node asked, and for which address: "REQUEST 192.0.2.100"."""
        found = re.findall(r"DHCP(DISCOVER|REQUEST|RELEASE|DECLINE)\(eth0\) (?:([0-9.]+) )?", self.world.read("/var/log/dhcp.log"))
        return [" ".join(words).strip() for words in found]

    def _look_around(self, running, verdict, before_pivot, asked):
        links = json.loads(running.run("/usr/sbin/ip -j addr").stdout)
        boot = Boot(
            verdict=verdict, pings=None, hand_off=running.hand_off(), events=running.events(), packets=[],
            addresses={link["ifname"]: [a["local"] for a in link["addr_info"] if a["scope"] == "global"] for link in links},
            macs={link["ifname"]: link.get("address") for link in links},
            default_routes=json.loads(running.run("/usr/sbin/ip -j route show default").stdout),
            overlay_routes=running.run("/usr/sbin/ip -6 route show | grep fortros").stdout.splitlines(),
            rules=running.run("/usr/sbin/ip -6 rule").stdout,
            wg={},
            maintainer=running.run("/usr/bin/fortros-maintainer status --json", check=False).stdout,
            dhcp=self._dhcp()[asked:],
            failed_units=running.run("/usr/bin/systemctl --failed --no-legend --plain", check=False).stdout,
            said="\n".join(running.machine.console.lines),
        )
        for line in running.run("/usr/bin/wg show all dump").stdout.splitlines():
            fields = line.split("\t")
            if len(fields) == 5:  # an interface; peers have nine
                boot.wg[fields[0]] = (fields[2], int(fields[3]))
        boot.pings = pings_in(self._stop_pings(), before_pivot)
        boot.packets = pcap.packets(self.node.folder / f"{running.name}.pcap")
        return boot


def answered_in(said):
    return [int(number) for number in re.findall(r"bytes from .* icmp_seq=(\d+) ", said)]


def pings_in(said, before_pivot):
    answered = answered_in(said)
    assert answered, f"no ping was answered:\n{said[-2000:]}"
    expected = range(answered[0], answered[-1] + 1)
    lost = sorted(set(expected) - set(answered))
    sent = int(re.search(r"(\d+) packets transmitted", said)[1])
    # Those of the last second may be under way still.
    lost += list(range(answered[-1] + 1, sent + 1 - round(1 / PING_INTERVAL_S)))
    return Pings(sent=sent - answered[0] + 1, lost=lost, before_pivot=before_pivot)


# --- what must hold wherever the agent is embedded ------------------------------------------------

def expect_enrolled_then_cached(play, first, second):
    assert first.hand_off["gateway"]["source"] == "public-dns" and second.hand_off["gateway"]["source"] == "cached"
    assert second.dns() == 0, "the second boot asked a resolver"
    key = first.hand_off["node"]["public_key"]
    assert second.hand_off["node"]["public_key"] == key and play.world.nodes() == [key]


def expect_no_ping_lost(first, second):
    assert first.pings.lost == [], first.pings
    assert second.pings.lost == [], second.pings
    assert second.pings.before_pivot > 0, second.pings
    # Of an emulated machine's seconds some are missed, but not most.
    assert second.pings.sent > SECOND_S / PING_INTERVAL_S / 2, second.pings


def expect_one_address(*boots):
    for boot in boots:
        name, addresses = boot.uplink()
        leased = next(link for link in boot.hand_off["uplinks"] if link["reached_gateway"])["addresses"]
        assert addresses == [address.split("/")[0] for address in leased if ":" not in address], (name, addresses)
        assert boot.addresses["fortros0"] == [boot.hand_off["node"]["overlay_address"]], boot.addresses


def expect_one_route(*boots):
    for boot in boots:
        assert len(boot.default_routes) == 1, boot.default_routes


def expect_same_tunnel(*boots):
    for boot in boots:
        assert boot.overlay_routes, "the overlay has lost its routes"
        for interface in boot.hand_off["interfaces"]:
            assert boot.wg[interface["name"]] == (boot.hand_off["node"]["public_key"], interface["listen_port"]), boot.wg


def expect_lease_renewed(boot):
    _, (address,) = boot.uplink()
    assert not [word for word in boot.dhcp if word.startswith(("RELEASE", "DECLINE"))], boot.dhcp
    # The agent's own is the first.
    assert boot.dhcp.count(f"REQUEST {address}") >= 3, boot.dhcp


def expect_maintained(*boots):
    for boot in boots:
        assert json.loads(boot.maintainer), boot.maintainer
        assert "fortros" not in boot.failed_units, boot.failed_units
