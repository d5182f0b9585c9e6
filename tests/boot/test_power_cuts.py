"""A node whose power fails in the middle of its first boot, again and again.

QEMU is killed at a random moment between the first link and the end of the boot, most often around the
enrolment, and the same machine is started again with the disk (or the NVRAM) that this has left, until it
comes up: that is a round. Most of them without firmware and with key and state as files, because that
boots in a third of the time; some under OVMF, with both in UEFI variables.

FORTROS_POWER_CUTS=N and FORTROS_POWER_CUTS_UEFI=N say how many cuts there are; FORTROS_SEED the seed.
"""

import atexit
import functools
import os
import pathlib
import random
import re
import tempfile
import time

from lib import image, nvram, preboot_console, qemu
from lib.newcomer import Newcomer
from lib.node import Node
from lib.org import Org
from lib.world import GATEWAY_NAME, World

TIME_LIMIT_S = 3600
TAKES_S = 300
SEED = int(os.environ.get("FORTROS_SEED", "20261122"))
CUTS = int(os.environ.get("FORTROS_POWER_CUTS", "12"))
CUTS_UEFI = int(os.environ.get("FORTROS_POWER_CUTS_UEFI", "2"))
STAGE_TIMEOUT_S = 240
# The stage whose line is waited for, and then up to so long: the key is stored and the invite spent
# between the fifth and the sixth, what is remembered is written after the seventh.
MOMENTS = ((3, 0.5), (4, 0.3), (5, 0.05), (5, 0.1), (5, 0.2), (5, 0.4), (6, 0.1), (6, 0.4), (7, 0.2), (8, 0.2))
CUTS_IN_A_ROUND = 4
SETTINGS_UEFI = f"""[Organisation]
GatewayName={GATEWAY_NAME}
Gateways=203.0.113.5
[Discovery]
Sources=cached
"""


class Site:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cuts-"))
        self.cable = qemu.Cable(self.folder)
        self.org = Org.make(self.folder / "org", GATEWAY_NAME)
        self.world = World(self.folder / "world", self.cable.b,
                           {"honest": (self.org, self.org.gateway(self.folder / "gateway"))})
        self.world.__enter__()
        atexit.register(self.world.stop)
        self.world.start_gateway("honest")

    def members_of(self, invite):
        """The keys that came with an invite, by its id."""
        table = self.world.ask_gateway("node list --json")
        return re.findall(rf'"public_key": "([^"]+)",[^}}]*?"invite": "{invite}"', table)

    def new_invite(self):
        """The invite and its id."""
        said = self.world.ask_gateway("invite create --json")
        return (re.search(r'"invite": *"([^"]+)"', said)[1] + "\n", re.search(r'"id": *"([^"]+)"', said)[1])


@functools.cache
def site():
    return Site()


def cut(machine, dice):
    """Kills the machine at a random moment of its boot. What it was."""
    stage, spread_s = dice.choice(MOMENTS)
    delay_s = dice.uniform(0, spread_s)
    machine.expect(rf"fortros-preboot: \[{stage}/9\]", STAGE_TIMEOUT_S)
    time.sleep(delay_s)  # a random moment is what is tested
    machine.kill()
    said = [one.number for one in preboot_console.stages(machine.console.lines)]
    return f"{delay_s * 1000:.0f} ms after stage {stage}, when it had said {max(said, default=0)}"


def check(invite, address, keys_before, where):
    """One node of this invite, up under the key that it had whenever the gateway knew one."""
    keys = site().members_of(invite)
    assert len(keys) == 1, f"{where}: {len(keys)} nodes of one invite"
    assert keys_before in ([], keys), f"{where}: the gateway knew {keys_before}, and {keys} came up"
    table = site().world.ask_gateway("node list")
    assert re.search(rf"^{address} .* member .*{re.escape(keys[0])}", table, re.M), f"{where}: {address}\n{table}"


def rounds(cuts, dice, play):
    """Plays rounds with at most a few cuts each, until there were so many."""
    print(f"seed {SEED}, {cuts} power cuts", flush=True)
    number = 0
    while cuts > 0:
        here = min(cuts, dice.randint(1, CUTS_IN_A_ROUND))
        cuts -= here
        number += 1
        moments, known = [], []
        where = f"seed {SEED}, round {number}"
        invite, invite_id = site().new_invite()

        def note(moment, moments=moments, known=known, invite_id=invite_id):
            moments.append(moment)
            known.append(site().members_of(invite_id))

        address = play(invite, here, note)
        print(f"round {number}: {'; '.join(moments)}; then {address}", flush=True)
        check(invite_id, address, max(known, default=[]), f"{where}, {moments}")


def test_power_cuts_with_key_and_state_in_files():
    """A node would be locked out by its own spent invite, or be in the org twice."""
    newcomer = Newcomer(site().folder / "newcomer", site().cable.a, site().org)
    dice = random.Random(SEED)

    def play(invite, cuts, note):
        newcomer.new_disk()
        for _ in range(cuts):
            with newcomer.boot(invite) as agent:
                note(cut(agent.guest.machine, dice))
        with newcomer.boot(invite) as agent:
            return agent.joined()

    rounds(CUTS, dice, play)


def test_power_cuts_with_key_and_state_in_uefi_variables():
    """The same, where firmware keeps them."""
    dice = random.Random(SEED)
    settings = site().folder / "uefi.conf"
    settings.write_text(SETTINGS_UEFI)
    number = 0

    def play(invite, cuts, note):
        nonlocal number
        number += 1
        uki = image.build(site().folder / f"node-{number}.efi", settings=settings, ca=site().org.ca, invite=invite,
                          options=("--level", "1"))
        node = Node(site().folder / f"node-{number}", site().cable.a)
        for attempt in range(cuts):
            with node.boot(f"cut-{attempt}", uki) as boot:
                note(cut(boot.machine, dice))
        with node.boot("last", uki) as boot:
            verdict = boot.wait_for_verdict()
            assert verdict.status == 0, f"{verdict}\n{boot.machine.console.tail()}"
            boot.wait_for_real_root()
            boot.power_off()
        assert sorted(nvram.Nvram(node.firmware.variables).ours()) == ["FortrosKey", "FortrosState"]
        return re.search(preboot_console.JOINED, verdict.why)["address"]

    rounds(CUTS_UEFI, dice, play)
