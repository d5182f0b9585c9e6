"""Secure Boot: a machine whose firmware runs what its owner has signed, and an image that he has signed once. What
decides whom the node trusts is under that signature; only its invite comes from outside, as a credential.

For each of settings, CA and agent somebody changes one byte in the signed image. Where Secure Boot is off that does
what he wanted, so where it is on nothing but the signature stands in his way.
"""

import hashlib
import pathlib
import re
import shutil
import tempfile

from lib import image, qemu, uki
from lib.node import Node
from lib.once import once
from lib.org import Org
from lib.secure_boot import Owner, add_boot_entry
from lib.world import GATEWAY_ADDRESS, GATEWAY_NAME, World

TAKES_S = 130
TIME_LIMIT_S = 900
WORK = pathlib.Path(__file__).resolve().parents[2] / "build/test/secure-boot"
# Modules must be signed now, too: the kernel needs the certificates that other tests do without.
KERNEL_WORDS = qemu.KERNEL_WORDS.replace(f",{qemu.CERTIFICATES}", "")
CREDENTIAL = "fortros.invite.cred"
SETTINGS = f"""[Organisation]
GatewayName={GATEWAY_NAME}
Gateways={GATEWAY_ADDRESS}
Invite=/.extra/credentials/{CREDENTIAL}
[Discovery]
Sources=cached
"""
IN_EFIVARS = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
# Of a boot entry in the firmware. The agent refuses a word of this kind that it does not know, so it tells whether it
# was given it.
ENTRY_WORD = "fortros.said-by=entry"
ENTRY_WORDS = f"{image.COMMAND_LINE} {KERNEL_WORDS} {ENTRY_WORD}"
REFUSED = r"failed to load Boot\d+ .*: (Access Denied|Security Violation)"
GIVEN_UP = r"No bootable option or device"
STARTED = re.compile(r"EFI stub|Linux version|fortros")
FIRMWARE_TIMEOUT_S = 180


@once
def ground():
    """A node with nothing in its firmware but its owner's keys, and the image that he has signed."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="secure-"))
    org = Org.make(scratch / "org", GATEWAY_NAME)
    owner = Owner(scratch / "owner")
    settings = scratch / "node.conf"
    settings.write_text(SETTINGS)
    signed = image.build(WORK / "node.efi", settings=settings, ca=org.ca, kernel_words=KERNEL_WORDS,
                         options=["--level", uki.SIGNED_LEVEL, *owner.signing()])
    cable = qemu.Cable(scratch)
    node = Node(WORK / "node", cable.a)
    node.firmware = owner.firmware(node.folder / "nvram.fd")
    add_boot_entry(node.firmware, ENTRY_WORDS)
    return scratch, org, owner, signed, cable, node


@once
def signed_boot():
    """What can be seen from the real root of the first boot."""
    scratch, org, _, signed, cable, node = ground()
    with World(WORK / "world", cable.b, {"g": (org, org.gateway(scratch / "g"))}) as world:
        world.start_gateway("g")
        credential = scratch / CREDENTIAL
        credential.write_text(world.create_invite())
        with node.boot("signed", signed, beside=[credential]) as boot:
            boot.wait_for_real_root()
            seen = {"hand_off": boot.hand_off(), "events": boot.events(), "kernel": boot.run("dmesg").stdout,
                    "words": boot.run("cat /proc/cmdline").stdout.split(),
                    "secure_boot": boot.run(f"od -An -tu1 {IN_EFIVARS}").stdout.split(), "nodes": world.nodes()}
            boot.power_off()
            return seen


def changed(name, before, after):
    """The signed image with one byte of its initrd changed."""
    return uki.with_changed_byte(ground()[3], WORK / f"{name}.efi", before, after)


def expect_refused(name, efi):
    node = ground()[5]
    with node.boot(name, efi, nics=[]) as boot:
        boot.machine.expect(REFUSED, FIRMWARE_TIMEOUT_S, "refusal by the firmware")
        boot.machine.expect(GIVEN_UP, FIRMWARE_TIMEOUT_S)
        started = [line for line in boot.machine.console.lines if STARTED.search(line)]
        assert not started, started


def expect_started(name, efi, pattern, words=None):
    """On a machine without Secure Boot, and what the agent says there. `words`: of a boot entry."""
    node = ground()[5]
    secure = node.firmware
    node.firmware = qemu.Firmware.fresh(node.folder / "nvram-open.fd")
    if words:
        add_boot_entry(node.firmware, words)
    try:
        with node.boot(name, efi, nics=[]) as boot:
            boot.machine.expect(pattern, FIRMWARE_TIMEOUT_S)
    finally:
        node.firmware = secure


def test_a_signed_image_boots_into_the_overlay():
    """Who wants Secure Boot could not have a node."""
    seen = signed_boot()
    assert seen["secure_boot"][4:] == ["1"], seen["secure_boot"]
    assert "Kernel is locked down from EFI Secure Boot" in seen["kernel"]
    assert seen["nodes"] == [seen["hand_off"]["node"]["public_key"]]


def test_a_boot_entry_has_no_say():
    """Who sits before the machine gives himself a shell in it."""
    expect_started("entry-open", ground()[3], r"settings-invalid .*fortros\.said-by", ENTRY_WORDS)
    assert ENTRY_WORD not in signed_boot()["words"]


def test_the_invite_may_come_from_outside():
    """Each node would need an image of its own, signed for it alone."""
    assert len(signed_boot()["nodes"]) == 1
    assert b"00000000etc/fortros/invite\0" not in uki.unpacked_initrd(ground()[3])


def test_the_events_name_settings_and_ca():
    """Nobody could say afterwards by which settings a node has booted."""
    _, org, _, signed, _, _ = ground()
    started = next(event for event in signed_boot()["events"] if event["event"] == "started")["fields"]
    archive = uki.unpacked_initrd(signed)
    settings = re.search(re.escape(SETTINGS.encode()) + rb"\n\[Clock\]\nBuildTime=\S+Z\n", archive)[0]
    assert started["settings_sha256"] == hashlib.sha256(settings).hexdigest(), settings
    assert started["ca_sha256"] == hashlib.sha256(org.ca.read_bytes()).hexdigest()


def test_one_byte_of_the_settings():
    """Who has the disk for a minute lets the node ask any resolver."""
    efi = changed("settings", b"\nSources=cached\n", b"\n#ources=cached\n")
    expect_started("settings-open", efi, r"\[1/9\] settings: sources cached public-dns dhcp-dns")
    expect_refused("settings", efi)


def test_one_byte_of_the_ca():
    """Who has the disk for a minute puts his own CA there."""
    line = ground()[1].ca.read_bytes().splitlines()[1]
    efi = changed("ca", line, b"N" + line[1:])
    expect_started("ca-open", efi, r"trust-anchor-invalid")
    expect_refused("ca", efi)


def test_one_byte_of_the_agent():
    """Who has the disk for a minute has the node."""
    efi = changed("agent", b"\0sources \0", b"\0sourceS \0")
    expect_started("agent-open", efi, r"\[1/9\] settings: sourceS cached")
    expect_refused("agent", efi)
