"""A machine without firmware that runs fortros-preboot on command: key and state are files on its disk.

    newcomer = Newcomer(folder, cable.a, org)
    newcomer.new_disk()
    with newcomer.boot(invite) as agent:
        print(agent.joined())

It boots in a third of the time that firmware takes, and its disk forgets at a power cut what was not
written to it, as a real one does.
"""

import contextlib
import json
import pathlib
import re
import subprocess

from lib import preboot_console, qemu
from lib.guest import Guest
from lib.world import GATEWAY_ADDRESS, GATEWAY_NAME, OUT

MAC = "52:54:00:f0:00:03"
VERDICT_TIMEOUT_S = 240
DISK_MIB = 32
KEEP = "/keep"
SETTINGS = f"""[Organisation]
GatewayName={GATEWAY_NAME}
Gateways={GATEWAY_ADDRESS}
[Discovery]
Sources=cached
[Node]
KeyStore=file:{KEEP}/node.key
StateStore=file:{KEEP}/node.state
[Failure]
TotalTimeout=90s
"""
HOME = "/etc/fortros"


class Newcomer:
    def __init__(self, folder, plug, org):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.disk = folder / "keep.ext4"
        self._guest = Guest("newcomer", folder=folder, nics=[qemu.Nic(plug, MAC)], disks=[self.disk],
                            files={f"{HOME}/preboot.conf": SETTINGS, f"{HOME}/org-ca.pem": org.ca},
                            programs=["wg", OUT / "preboot/fortros-preboot"],
                            modules=["wireguard", "nf_tables", "ext4"], command_line="loglevel=7")

    def new_disk(self):
        """As of a machine that has never booted. With a journal: power cuts are what it is for."""
        self.disk.unlink(missing_ok=True)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", str(self.disk), f"{DISK_MIB}M"], check=True)

    @contextlib.contextmanager
    def boot(self, invite, *, ca=None, settings=None):
        """Power on; the agent runs when this returns. Power off without a warning at the end. `ca` and
        `settings`: what another image has in place of this one's."""
        with self._guest as guest:
            guest.run(f"mkdir -p {KEEP} && mount -t ext4 /dev/vda {KEEP}")
            if ca:
                guest.put(f"{HOME}/org-ca.pem", ca)
            if settings:
                guest.put(f"{HOME}/preboot.conf", settings)
            if invite:
                guest.put(f"{HOME}/invite", invite, 0o600)
            guest.run("fortros-preboot >/run/preboot.log 2>&1 &")
            yield Agent(guest)


class Agent:
    """The agent in a guest, by what its console shows."""

    def __init__(self, guest):
        self.guest = guest

    def expect(self, pattern, timeout_s=VERDICT_TIMEOUT_S):
        return self.guest.machine.expect(pattern, timeout_s)

    def verdict(self):
        self.guest.wait_until("grep -qE 'exit status|in the overlay as' /run/preboot.log", timeout_s=VERDICT_TIMEOUT_S)
        return preboot_console.verdict(self.guest.run("cat /run/preboot.log").stdout.splitlines())

    def events(self):
        return [json.loads(line) for line in self.guest.read("/run/fortros/events.jsonl").splitlines()]

    def joined(self):
        """Its overlay address, once it is in."""
        verdict = self.verdict()
        assert verdict.status == 0, f"{verdict}\n{self.guest.machine.console.tail()}"
        return re.search(preboot_console.JOINED, verdict.why)["address"]
