"""The organisation's CA is replaced, as certs/README.md says, and a node lives through it.

    image pins   gateway's leaf, signer   boot
    A            A                        first     enrols
    B            A                        early     its image is ahead of the gateway
    A B          B                        second    the gateway has moved meanwhile
    B            B                        third     the end of the rotation
    B            B                        skipped   as third, by a node that has slept through the second
    A            B                        late      its image is from before the rotation: with what it remembers
    A            B                        stranded  and without

All boots are of one node with one disk; skipped, late and stranded go on with a copy of it from before
the rotation.
"""

import atexit
import dataclasses
import pathlib
import re
import shutil
import tempfile

from lib import newcomer, preboot_console, qemu
from lib.newcomer import Newcomer
from lib.once import once
from lib.org import Org, certs, openssl
from lib.world import GATEWAY_NAME, World

TIME_LIMIT_S = 900
TAKES_S = 150
HOME = "/etc/fortros/honest"
SHORT = newcomer.SETTINGS.replace("TotalTimeout=90s", "TotalTimeout=10s")
NO_FAST_START = SHORT + "[WireGuard]\nFastStart=no\n"
KEPT = ("node.key", "node.state")


@dataclasses.dataclass
class Boot:
    """What one boot came to."""

    verdict: preboot_console.Verdict
    events: list
    gateway_pings: bool
    members: list  # the registry's, after it
    before: dict  # the disk's files
    after: dict

    def said(self, event):
        """The messages of all events of a kind."""
        return [entry["message"] for entry in self.events if entry["event"] == event]

    @property
    def address(self):
        assert self.verdict.status == 0, self.verdict
        return re.search(preboot_console.JOINED, self.verdict.why)["address"]


class Site:
    """The machines, and the folders that the procedure works with."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ca-"))
        cable = qemu.Cable(self.folder)
        self.old = Org.make(self.folder / "org", GATEWAY_NAME)
        self.gateway = self.old.gateway(self.folder / "gw")
        self.world = World(self.folder / "world", cable.b, {"honest": (self.old, self.gateway)})
        self.world.__enter__()
        atexit.register(self.world.stop)
        self.world.start_gateway("honest")
        self.node = Newcomer(self.folder / "node", cable.a, self.old)
        self.node.new_disk()

    def make_new_ca(self):
        """Before step 1: the new CA, and the file of pins."""
        self.new = self.old.successor(self.folder / "org2")
        self.pins = self.old.ca.read_text() + self.new.ca.read_text()

    def move_gateway(self):
        """Step 2."""
        certs("issue-gateway", self.new.folder, self.gateway.folder)
        for file in (self.gateway.certificate, self.new.ca, self.new.signer, self.new.signer_key):
            self.world.put(f"{HOME}/{file.name}", file.read_bytes(), 0o600)
        self.world.start_gateway("honest")

    def boot(self, ca, invite=None, settings=None):
        with self.node.boot(invite, ca=ca, settings=settings) as agent:
            before = files_of(agent)
            verdict = agent.verdict()
            pings = agent.guest.run(f"ping -c 1 -W 10 {self.gateway_address()}", check=False).status == 0
            return Boot(verdict, agent.events(), pings, self.members(), before, files_of(agent))

    def gateway_address(self):
        said = self.world.run("cat /var/log/gateway.log").stdout
        return re.findall(r"overlay_address=(\S+)", said)[-1]

    def members(self):
        return re.findall(r"^(fd[0-9a-f:]+) .* member ", self.world.ask_gateway("node list"), re.M)


def files_of(agent):
    """What the node remembers: name → digest, for it holds a secret."""
    said = agent.guest.run(f"cd {newcomer.KEEP} && sha256sum {' '.join(KEPT)}", check=False).stdout
    return {name: digest for digest, name in (line.split() for line in said.splitlines())}


@once
def site():
    return Site()


def subjects():
    """The CAs' names, by which the agent calls them."""
    name = lambda org: openssl("x509", "-in", org.ca, "-noout", "-subject", "-nameopt", "RFC2253").strip()
    return {"old": name(site().old).removeprefix("subject="), "new": name(site().new).removeprefix("subject=")}


@once
def boots():
    """All boots by their names."""
    play = site()
    old_pin, invite = play.old.ca.read_text(), play.world.create_invite()
    done = {"first": play.boot(old_pin, invite)}
    play.make_new_ca()
    new_pin = play.new.ca.read_text()
    done["early"] = play.boot(new_pin, settings=SHORT)
    disk = play.node.disk
    before_rotation = disk.with_suffix(".before")
    shutil.copy(disk, before_rotation)
    play.move_gateway()
    done["second"] = play.boot(play.pins)
    done["third"] = play.boot(new_pin)
    for name, ca, settings in (("skipped", new_pin, None), ("late", old_pin, SHORT),
                               ("stranded", old_pin, NO_FAST_START)):
        shutil.copy(before_rotation, disk)
        done[name] = play.boot(ca, settings=settings)
    return done


def expect(have, want, what):
    assert have == want, f"{what} is {have!r}, not {want!r}"


def expect_same_node(boot):
    """Up, confirmed by the gateway, and the node that it was."""
    first = boots()["first"]
    expect(boot.address, first.address, "the overlay address")
    expect(boot.said("not-joined"), [], "the list of what was not confirmed")
    expect(boot.after["node.key"], first.after["node.key"], "the key's digest")
    expect(boot.members, [first.address], "the list of members")
    assert boot.gateway_pings, "nothing goes through the tunnel"


# --- the three boots ---

def test_first_boot_enrols_under_the_old_ca():
    """There would be nothing to rotate."""
    expect_same_node(boots()["first"])


def test_second_boot_joins_a_gateway_that_has_moved():
    """A rotation would need a day on which every node and every gateway is changed at once."""
    expect_same_node(boots()["second"])


def test_second_boot_starts_fast_by_what_the_old_ca_vouches_for():
    """The rotation would be a day on which no node is in the overlay without a gateway."""
    assert boots()["second"].said("fast-start"), "no fast start"


def test_third_boot_joins_without_the_old_ca():
    """The old CA could never be destroyed."""
    expect_same_node(boots()["third"])


def test_third_boot_starts_fast_by_what_the_new_ca_vouches_for():
    """The second boot would have kept what only the old CA vouches for."""
    third = boots()["third"]
    expect(third.said("no-fast-start"), [], "the list of reasons for no fast start")
    assert third.said("fast-start"), "no fast start"


# --- who slept through it ---

def test_skipped_boot_does_not_use_what_only_the_old_ca_vouches_for():
    """Who has stolen the old CA's key would go on choosing the peers of a boot."""
    skipped = boots()["skipped"]
    expect(skipped.said("fast-start"), [], "the list of fast starts")
    (why,) = skipped.said("no-fast-start")
    assert "the signer's " + no_pin_of("old") in why, why


def test_skipped_boot_goes_on_and_joins():
    """A machine that was off for some weeks would have to enrol anew."""
    expect_same_node(boots()["skipped"])


# --- images that do not fit ---

def no_pin_of(ca):
    """What the agent says of a certificate that only the `old` or the `new` CA vouches for."""
    return f"certificate is not signed by the pinned organisation CA (it names '{subjects()[ca]}')"


def expect_untrusted(boot, ca):
    expect((boot.verdict.status, boot.verdict.name), (8, "gateway-untrusted"), "the verdict")
    assert "the gateway's " + no_pin_of(ca) in boot.verdict.why, boot.verdict
    assert not boot.gateway_pings, "it is in the overlay"


def expect_nothing_deleted(boot):
    expect(sorted(boot.before), sorted(KEPT), "the list of files before")
    expect(boot.after, boot.before, "what the node remembers")


def test_early_boot_is_refused():
    """The old CA would be trusted by an image that does not pin it."""
    expect_untrusted(boots()["early"], "old")


def test_early_boot_deletes_nothing():
    """Images in the wrong order would end a fleet; now the next boot is as if nothing had been."""
    expect_nothing_deleted(boots()["early"])


def test_late_boot_is_in_the_overlay_by_what_it_remembers_and_says_why():
    """A node that was forgotten would drop out at once, or would not tell that it is about to."""
    late = boots()["late"]
    expect(late.address, boots()["first"].address, "the overlay address")
    assert late.gateway_pings, "nothing goes through the tunnel"
    (why,) = late.said("not-joined")
    assert "the gateway's " + no_pin_of("new") in why, why


def test_stranded_boot_is_refused():
    """Somebody else's CA would be trusted by an image that does not pin it."""
    expect_untrusted(boots()["stranded"], "new")


def test_late_and_stranded_boots_delete_nothing():
    """A new image could not bring the node back as the one that it was."""
    for name in ("late", "stranded"):
        expect_nothing_deleted(boots()[name])
