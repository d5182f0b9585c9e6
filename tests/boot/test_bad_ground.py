"""What a node does on bad ground: no network, no carrier, no firmware variables, full or broken NVRAM.

One world for all, in which one invite is left unspent by every boot that must not spend it.
"""

import atexit
import functools
import pathlib
import tempfile

from lib import image, nvram, qemu
from lib.node import MAC, Node
from lib.org import Org
from lib.world import GATEWAY_NAME, World

TIME_LIMIT_S = 800
TAKES_S = 250
SETTINGS = f"""[Organisation]
GatewayName={GATEWAY_NAME}
[Discovery]
PublicResolvers=9.9.9.9
[Network]
LinkTimeout=5s
[Failure]
TotalTimeout=40s
"""
IN_FILES = SETTINGS + "[Node]\nKeyStore=file:/run/keys/node.key\nStateStore=file:/run/keys/node.state\n"
CONF = "/etc/fortros/preboot.conf"
# The kernel keeps the last 5 KiB of the variable store for the firmware.
NVRAM_LEFT_BYTES = 3 * 1024
FULL_NVRAM_TIMEOUT_S = 600
NVRAM_CHUNK_BYTES = 30 * 1024


class Ground:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ground-"))
        self.cable = qemu.Cable(self.folder)
        org = Org.make(self.folder / "org", GATEWAY_NAME)
        gateway = org.gateway(self.folder / "gateway")
        self.world = World(self.folder / "world", self.cable.b, {"honest": (org, gateway)})
        self.world.__enter__()
        atexit.register(self.world.stop)
        self.world.start_resolvers()
        self.world.start_gateway("honest")
        settings = self.folder / "preboot.conf"
        settings.write_text(SETTINGS)
        self.uki = image.build(self.folder / "node.efi", settings=settings, ca=org.ca,
                               invite=self.world.create_invite())

    def node(self, name):
        return Node(self.folder / name, self.cable.a)

    def assert_nothing_enrolled(self):
        assert self.world.nodes() == [], "a node is enrolled"
        assert "spent" not in self.world.invites(), "the invite is spent"


@functools.cache
def ground():
    return Ground()


def refusal(boot):
    with boot:
        return boot.wait_for_verdict()


def expect(verdict, status, name, *words):
    assert (verdict.status, verdict.name) == (status, name), f"the verdict is {verdict}"
    missing = [word for word in words if word.lower() not in verdict.why.lower()]
    assert not missing, f"it says nothing of {missing}: {verdict.why}"


@functools.cache
def lonely_boot():
    """A boot by firmware on a machine without a NIC: its node and its verdict."""
    node = ground().node("no-nic")
    return node, refusal(node.boot("no-nic", ground().uki, nics=[]))


def test_no_network_interface():
    """Who forgot a driver in the image would look at DNS and certificates."""
    node, verdict = lonely_boot()
    expect(verdict, 6, "no-link", "no network interface")
    assert nvram.Nvram(node.firmware.variables).ours() == {}, "something is stored"


def test_no_carrier():
    """An unplugged cable would look like a gateway that is down."""
    node = ground().node("no-carrier")
    nic = qemu.Nic(ground().cable.a, MAC, carrier=False)
    expect(refusal(node.boot_without_firmware("no-carrier", ground().uki, {CONF: IN_FILES}, nics=[nic])),
           6, "no-link", "eth0", "carrier")


def test_no_uefi_and_key_in_uefi_spends_no_invite():
    """The node would enrol with a key that it can't keep, and be locked out after a reboot."""
    node = ground().node("no-uefi")
    expect(refusal(node.boot_without_firmware("no-uefi", ground().uki)), 12, "key-store-failed", "UEFI")
    ground().assert_nothing_enrolled()


def test_refusing_nvram_spends_no_invite():
    """The node would enrol with a key that it can't keep, and be locked out after a reboot."""
    node = ground().node("refusing")
    # Not to be seen or replaced once an operating system runs.
    nvram.Nvram(node.firmware.variables).add("FortrosKey", b"?", attributes=nvram.NON_VOLATILE | nvram.BOOT_SERVICE)
    expect(refusal(node.boot("refusing", ground().uki)), 12, "key-store-failed", "FortrosKey")
    ground().assert_nothing_enrolled()


def fill(firmware):
    """Other people's variables, until nothing of ours has room."""
    store = nvram.Nvram(firmware.variables)
    store.compact()
    number = 0
    while (room := store.free - NVRAM_LEFT_BYTES) > 256:
        number += 1
        store.add(f"Dump{number}", bytes(min(room - 128, NVRAM_CHUNK_BYTES)), nvram.CRASH_DUMPS)


def test_full_nvram_spends_no_invite():
    """Firmware full of crash dumps would cost an invite at every boot."""
    # Firmware that has booted before: filled when new, it tidies up for minutes.
    node, _ = lonely_boot()
    fill(node.firmware)
    boot = node.boot("full-nvram", ground().uki, nics=[qemu.Nic(ground().cable.a, MAC)])
    with boot:
        expect(boot.wait_for_verdict(FULL_NVRAM_TIMEOUT_S), 12, "key-store-failed", "no space left")
    ground().assert_nothing_enrolled()
    assert nvram.Nvram(node.firmware.variables).ours() == {}


def test_key_without_state_asks_no_resolver():
    """Who can delete one variable could widen what the node asks of the network."""
    node = ground().node("lost-state")
    record = nvram.key_record(bytes(range(32)))
    nvram.Nvram(node.firmware.variables).add("FortrosKey", record)
    boot = node.boot("lost-state", ground().uki)
    expect(refusal(boot), 16, "policy-lost", "cached")
    assert not [packet for packet in boot.packets() if packet.kind == "dns"]
    ground().assert_nothing_enrolled()


def test_garbage_in_the_state_variable_is_absent():
    """A torn write would keep the node out for ever. Runs last: it spends the invite."""
    node = ground().node("garbage")
    nvram.Nvram(node.firmware.variables).add("FortrosState", b"\xff" * 100)
    with node.boot("garbage", ground().uki) as boot:
        expect(boot.wait_for_verdict(), 0, "joined")
        boot.machine.expect(r"fortros-preboot: .*FortrosState is not used", 1)
        boot.wait_for_real_root()
        boot.power_off()
    assert sorted(nvram.Nvram(node.firmware.variables).ours()) == ["FortrosKey", "FortrosState"]
