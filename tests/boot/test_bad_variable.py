"""The UEFI variable of what a node remembers is a cache that can't hurt: spoilt, too large or not to be
written, the boot goes on and says what happened.

One machine with real firmware enrols. Then the agent runs again and again in its real root, each time
with the variable in another condition, and at last the same node without any firmware variables.
"""

import atexit
import functools
import json
import pathlib
import tempfile

from lib import image, nvram, qemu
from lib.node import Node, real_root
from lib.org import Org
from lib.world import GATEWAY_ADDRESS, GATEWAY_NAME, World

TIME_LIMIT_S = 600
TAKES_S = 140
CONF = "/etc/fortros/preboot.conf"
# A node that has lost its state may go by cached addresses only: the one that is baked into its image.
SETTINGS = f"""[Organisation]
GatewayName={GATEWAY_NAME}
Gateways={GATEWAY_ADDRESS}
[Discovery]
PublicResolvers=9.9.9.9
[Failure]
TotalTimeout=60s
"""
AGAIN = SETTINGS + "[Network]\nMode=adopt\n"
EFIVARS = "/sys/firmware/efi/efivars"
STATE = f"{EFIVARS}/FortrosState-{nvram.FORTROS}"
KEY = f"{EFIVARS}/FortrosKey-{nvram.FORTROS}"
ATTRIBUTES = bytes([nvram.NON_VOLATILE | nvram.BOOT_SERVICE | nvram.RUNTIME, 0, 0, 0])
LARGE_BYTES = 30 * 1024
VERSION_AT = 7
NO_UEFI_KEY = "/etc/fortros/node.key"


class Run:
    """What one run of the agent in the real root came to."""

    def __init__(self, status, events, hand_off=None, packets=()):
        self.status = status
        self.events = events
        self.hand_off = hand_off
        self.packets = packets

    def said(self, event):
        return [entry["message"] for entry in self.events if entry["event"] == event]


class Ground:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="variable-"))
        self.cable = qemu.Cable(self.folder)
        org = Org.make(self.folder / "org", GATEWAY_NAME)
        gateway = org.gateway(self.folder / "gateway")
        self.world = World(self.folder / "world", self.cable.b, {"honest": (org, gateway)})
        self.world.__enter__()
        atexit.register(self.world.stop)
        self.world.start_gateway("honest")
        settings = self.folder / "preboot.conf"
        settings.write_text(SETTINGS)
        self.uki = image.build(self.folder / "node.efi", settings=settings, ca=org.ca,
                               invite=self.world.create_invite())
        root = real_root()
        root.file("/bin/fortros-preboot", image.AGENT, 0o755)
        root.file(CONF, AGAIN)
        root.file("/etc/fortros/org-ca.pem", org.ca)
        root.file("/etc/fortros/invite", self.world.create_invite())
        self.node = Node(self.folder / "node", self.cable.a, root)
        self.boot = self.node.boot("variable", self.uki)
        self.boot.__enter__()
        atexit.register(self.boot.machine.kill)
        self.boot.wait_for_real_root()
        assert self.boot.verdict().status == 0, self.boot.verdict()
        self.boot.run("kill $(cat /run/maintainer.pid)")
        self.sound = self.boot.commands.get(STATE)[len(ATTRIBUTES):]
        self.key = self.boot.commands.get(KEY)[len(ATTRIBUTES):]
        self.number = 0

    def write(self, data):
        """The state variable, as efivarfs takes it: in one piece."""
        self.boot.commands.put("/tmp/variable", ATTRIBUTES + data)
        self.boot.run(f"chattr -i {STATE}; dd if=/tmp/variable of={STATE} bs=64k")

    def again(self, words=""):
        """Another run of the agent with these words on its command line, and no overlay left from the last."""
        self.number += 1
        self.boot.commands.put("/tmp/words", words)
        before = len(self.boot.packets())
        folder = f"/run/again{self.number}"
        self.boot.run("for name in $(ls /sys/class/net); do case $name in fortros*) ip link del $name ;; esac; done")
        done = self.boot.run(f"fortros-preboot run --kernel-command-line /tmp/words --run-directory {folder}", check=False)
        events = [json.loads(line) for line in self.boot.commands.read(f"{folder}/events.jsonl").splitlines()]
        hand_off = json.loads(self.boot.commands.read(f"{folder}/bootstrap.json")) if done.status == 0 else None
        return Run(done.status, events, hand_off, self.boot.packets()[before:])

    def nodes(self):
        return self.world.nodes()


@functools.cache
def ground():
    return Ground()


def expect(have, want, what):
    assert have == want, f"{what} is {have!r}, not {want!r}"


def expect_joined_without_state(run, reason):
    """By the gateway of the image, and by no other source: deleting a variable widens nothing."""
    expect(run.status, 0, "the exit status")
    unread = run.said("state-unreadable")
    assert len(unread) == 1 and "FortrosState" in unread[0] and reason in unread[0], unread
    assert run.said("policy-lost"), "it did not say what follows"
    assert not run.said("fast-start"), "it used what it can't read"
    expect(run.hand_off["gateway"]["source"], "cached", "the source")
    expect(len(ground().nodes()), 1, "the number of nodes")


def expect_mended(run):
    """The next boot is as good as if nothing had happened."""
    expect(run.said("not-remembered"), [], "the list of complaints")
    run = ground().again()
    expect(run.status, 0, "the exit status of the next run")
    expect(run.said("state-unreadable"), [], "what the next run complains of")
    assert run.said("fast-start"), "the next run had no fast start"


def spoil(data, reason):
    ground().write(data)
    run = ground().again()
    expect_joined_without_state(run, reason)
    expect_mended(run)


def test_sound_variable_is_used():
    """The other tests would show nothing."""
    run = ground().again()
    expect(run.status, 0, "the exit status")
    assert run.said("fast-start") and not run.said("state-unreadable")


def test_corrupt_variable_is_mended():
    """One flipped bit in flash would keep a node out for ever."""
    sound = ground().sound
    spoil(sound[:60] + bytes([sound[60] ^ 1]) + sound[61:], "checksum")


def test_truncated_variable_is_mended():
    """A power cut while firmware writes would keep a node out for ever."""
    spoil(ground().sound[:len(ground().sound) // 2], "cut off")


def test_variable_of_a_newer_version_is_replaced():
    """Nobody could go back to an older image."""
    sound = ground().sound
    spoil(sound[:VERSION_AT] + b"\x02" + sound[VERSION_AT + 1:], "version 2")


def test_large_variable_is_replaced():
    """Who can write one variable could keep a node out, or exhaust it."""
    spoil(ground().sound[:20] + bytes(LARGE_BYTES), "too large")


def test_spoilt_variable_asks_no_resolver():
    """Who can spoil one variable could widen what the node asks of the network."""
    ground().write(b"?")
    ground().world.stop_gateway()
    try:
        run = ground().again("fortros.timeout=5s")
    finally:
        ground().world.start_gateway("honest")
    expect(run.status, 16, "the exit status")
    assert [packet for packet in run.packets if packet.kind == "tls"], "it did not knock at the gateway of its image"
    expect([str(packet) for packet in run.packets if packet.kind == "dns"], [], "the list of DNS packets")
    expect_mended(ground().again())


def test_efivarfs_that_nobody_has_mounted_is_mounted():
    """In an initramfs that is not ours the node would lose its key with every boot."""
    ground().boot.run(f"umount {EFIVARS}")
    run = ground().again()
    expect(run.status, 0, "the exit status")
    assert run.said("fast-start") and not run.said("state-unreadable")
    ground().boot.run(f"grep -q ' {EFIVARS} efivarfs ' /proc/mounts")


def test_read_only_variable_store_does_not_end_a_boot():
    """A kernel that protects the firmware would keep every node out."""
    ground().write(b"?")
    ground().boot.run(f"mount -o remount,ro {EFIVARS}")
    try:
        run = ground().again()
    finally:
        ground().boot.run(f"mount -o remount,rw {EFIVARS}")
    expect_joined_without_state(run, "cut off")
    complaints = run.said("not-remembered")
    assert complaints and "read-only" in complaints[0].lower(), complaints


def test_full_variable_store_does_not_end_a_boot():
    """Crash dumps in the firmware would keep a node out."""
    ground().write(b"?")
    fill = f"""
        for size in {LARGE_BYTES} 4096 512; do
            (printf '\\007\\000\\000\\000'; dd if=/dev/zero bs=$size count=1) >/tmp/dump
            number=0
            while dd if=/tmp/dump of={EFIVARS}/Dump$size-$number-{nvram.CRASH_DUMPS} bs=64k; do
                number=$((number + 1))
            done
        done"""
    ground().boot.run(fill, timeout_s=300)
    run = ground().again()
    expect_joined_without_state(run, "cut off")
    complaints = run.said("not-remembered")
    assert complaints and "no space left" in complaints[0].lower(), complaints


def test_new_node_on_read_only_variables_spends_no_invite():
    """The node would enrol with a key that it can't keep, and be locked out after a reboot."""
    ground().boot.run(f"chattr -i {KEY} {STATE}; rm {KEY} {STATE} && mount -o remount,ro {EFIVARS}")
    run = ground().again()
    expect(run.status, 12, "the exit status")
    why = run.said("finished")[0]
    assert "read-only" in why.lower(), why
    expect(len(ground().nodes()), 1, "the number of nodes")


def test_machine_without_uefi_joins_by_its_image():
    """A key on a disk would be of no use where firmware keeps no variables. Runs last, in place of the machine."""
    ground().boot.machine.kill()
    files = {CONF: f"{SETTINGS}[Node]\nKeyStore=file:{NO_UEFI_KEY}\n", NO_UEFI_KEY: ground().key}
    with ground().node.boot_without_firmware("no-uefi", ground().uki, files) as boot:
        boot.wait_for_real_root()
        expect(boot.verdict().status, 0, "the exit status")
        run = Run(0, boot.events(), boot.hand_off())
        boot.power_off()
    expect_joined_without_state(run, "no UEFI variables")
    assert run.said("not-remembered"), "it did not say that nothing was remembered"
    expect(len(ground().nodes()), 1, "the number of nodes")
