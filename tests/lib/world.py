"""The world around a node: a guest with a DHCP server, two resolvers and a gateway.

Its addresses and its verbs are in tests/world/world.sh. No packet leaves the guest but to the node.
"""

import pathlib

from lib import qemu
from lib.guest import Guest

TESTS = pathlib.Path(__file__).resolve().parent.parent
OUT = TESTS.parent / "build/out/agent"
MAC = "52:54:00:f0:00:01"
GATEWAY_NAME = "gateway.fleet.example"
GATEWAY_ADDRESS = "203.0.113.5"
ROUTER = "192.0.2.1"
PUBLIC_RESOLVER = "9.9.9.9"
MEMORY_MIB = 320
LOGS = ("gateway", "public-dns", "dhcp-dns", "dhcp")


class World(Guest):
    def __init__(self, folder, plug, on_line=None):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        files = {"/bin/world": (TESTS / "world/world.sh", 0o755)}
        for conf in (TESTS / "world").glob("*.conf"):
            files[f"/etc/world/{conf.name}"] = conf
        super().__init__("world", folder=folder, files=files, nics=[qemu.Nic(plug, MAC)], memory_mib=MEMORY_MIB,
                         programs=["ip", "wg", "unbound", "dnsmasq", OUT / "gateway/fortros-gateway"],
                         modules=["dummy", "wireguard"], on_line=on_line)

    def wait_ready(self):
        super().wait_ready()
        self.run("world up")

    def start_resolvers(self):
        self.run(f"world start-resolvers {GATEWAY_NAME}")

    def stop_resolvers(self):
        self.run("world stop-resolvers")

    def logs(self, count=20):
        """The last lines of every server's log, for a failure's message."""
        return "\n".join(f"{name}:\n" + self.run(f"tail -n {count} /var/log/{name}.log 2>&1", check=False).stdout
                         for name in LOGS)
