"""A gateway whose power fails while nodes enrol, again and again: whoever was told yes is a member afterwards.

A guest with its registry on a disk (ext4), and a client in it that enrols one node after the other. Each answer goes to
the console; QEMU is killed after some of them, and started again with the disk as that has left it. What the guest has
not written to the disk is lost, as in a power cut; what it has written is not.

FORTROS_POWER_CUTS=N says how many cuts there are, FORTROS_SEED the seed.
"""

import contextlib
import json
import os
import pathlib
import queue
import random
import sqlite3
import subprocess
import tempfile

from lib.gateway import CLIENT, PROGRAM, Site
from lib.guest import Guest
from lib.guest_gateway import GuestGateway, client_of, files_of

TIME_LIMIT_S = 1800
TAKES_S = 180
CUTS = int(os.environ.get("FORTROS_POWER_CUTS", "8"))
SEED = int(os.environ.get("FORTROS_SEED", "20261122"))
ENROLMENTS_BEFORE_CUT = (1, 25)
ENOUGH = 1000  # more than can enrol before the cut
ANSWER_LIMIT_S = 120
STATE = "/mnt"
SETTINGS = f"""\
[Gateway]
Database={STATE}/gateway.db

[WireGuard]
Endpoints=192.0.2.1:51820
"""


class Machine:
    """The gateway's guest and its disk."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cut."))
        self.site = Site(self.folder)
        disk = self.folder / "disk"
        subprocess.run(["mke2fs", "-q", "-t", "ext4", disk, "64m"], check=True)
        self.guest = Guest(programs=["wg", "ip", "nft", PROGRAM, CLIENT], files=files_of(self.site, settings=SETTINGS),
                           disks=[disk], modules=["wireguard", "nf_tables", "ext4"], on_line=self._hear)
        self.gateway = GuestGateway(self.guest)
        self.told_yes = queue.Queue()

    @contextlib.contextmanager
    def power(self):
        """Until its end, which is a cut whatever it does then."""
        self.guest.power_on()
        try:
            self.guest.wait_ready()
            self.guest.run(f"mount -t ext4 /dev/vda {STATE} && chmod 700 {STATE}")
            yield self.guest
        finally:
            self.guest.machine.kill()

    def enrol(self, first, invite):
        """Nodes enrol, one after the other, for as long as there is power."""
        self.guest.run(f"i={first}; while [ $i -lt {first + ENOUGH} ]; do echo enroll $i {invite}; i=$((i+1)); done "
                       f">/run/words; {client_of(self.site)} </run/words >/dev/console 2>&1 &")

    def _hear(self, line):
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            told = json.loads(line)
            if told.get("status") == 200:
                self.told_yes.put(told["public_key"])


def test_whoever_was_told_yes_is_a_member_after_the_cut():
    """After a power cut the gateway would not know nodes whose invites are spent, or not come up at all."""
    dice = random.Random(SEED)
    machine = Machine()
    members = set()
    with machine.power() as guest:
        invite = guest.run("fortros-gateway invite create --uses 100000 --approval no 2>/dev/null").stdout.strip()
        guest.run("sync")
    for cut in range(CUTS):
        with machine.power() as guest:
            machine.gateway.start()
            machine.enrol(cut * ENOUGH, invite)
            members.update(machine.told_yes.get(timeout=ANSWER_LIMIT_S) for _ in range(dice.randint(*ENROLMENTS_BEFORE_CUT)))
        guest.machine.console.finish()
        while not machine.told_yes.empty():
            members.add(machine.told_yes.get())
    with machine.power() as guest:
        machine.gateway.start()
        known = {node["public_key"] for node in json.loads(guest.run("fortros-gateway node list --json").stdout)}
        assert members <= known, f"{len(members - known)} of {len(members)} that were told yes are forgotten"
        used = [entry["used"] for entry in json.loads(guest.run("fortros-gateway invite list --json").stdout)]
        assert used == [len(known)], f"the invite is spent {used} times, and {len(known)} are members"
        peers = set(guest.run("wg show fortros0 peers").stdout.split())
        assert peers == known, f"{len(peers)} peers, {len(known)} members"
        guest.run("fortros-gateway audit verify")
        machine.gateway.end()
        database = machine.folder / "gateway.db"
        database.write_bytes(guest.get(f"{STATE}/gateway.db"))
    with contextlib.closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    print(f"{CUTS} cuts, seed {SEED}: {len(members)} were told yes, {len(known)} are members")
