"""The world around a node: a guest with a DHCP server, two resolvers and a gateway.

Its addresses and its verbs are in tests/world/world.sh. No packet leaves the guest but to the node.
"""

import pathlib
import re

from lib import qemu
from lib.guest import Guest

TESTS = pathlib.Path(__file__).resolve().parent.parent
OUT = TESTS.parent / "build/out/agent"
MAC = "52:54:00:f0:00:01"
STUB_MAC = "52:54:00:f0:00:11"
GATEWAY_NAME = "gateway.fleet.example"
GATEWAY_ADDRESS = "203.0.113.5"
ROUTER = "192.0.2.1"
PUBLIC_RESOLVER = "9.9.9.9"
MEMORY_MIB = 320
LOGS = ("gateway", "public-dns", "dhcp-dns", "dhcp")


class World(Guest):
    """`gateways`: name → (org, its gateway), of which one at a time is started. `stub`: the plug of another
    cable, to a router with a DHCP server and nothing behind it."""

    def __init__(self, folder, plug, gateways, on_line=None, stub=None):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        files = {"/bin/world": (TESTS / "world/world.sh", 0o755)}
        for conf in (TESTS / "world").glob("*.conf"):
            files[f"/etc/world/{conf.name}"] = conf
        for name, (org, gateway) in gateways.items():
            for file in (org.ca, org.folder / "org.conf", org.signer, org.signer_key,
                         gateway.certificate, gateway.key, gateway.wireguard_key, TESTS / "world/gateway.conf"):
                files[f"{_home(name)}/{file.name}"] = (file, 0o600)
        nics = [qemu.Nic(plug, MAC), *([qemu.Nic(stub, STUB_MAC)] if stub else [])]
        super().__init__("world", folder=folder, files=files, nics=nics, memory_mib=MEMORY_MIB,
                         programs=["ip", "wg", "nft", "ping", "unbound", "dnsmasq", OUT / "gateway/fortros-gateway"],
                         modules=["dummy", "wireguard", "nf_tables"], on_line=on_line)
        self._gateway = None
        self._has_stub = stub is not None

    def wait_ready(self):
        super().wait_ready()
        self.run("world up")
        if self._has_stub:
            self.run("world up-stub")

    def start_resolvers(self):
        self.run(f"world start-resolvers {GATEWAY_NAME}")

    def stop_resolvers(self):
        self.run("world stop-resolvers")

    def start_gateway(self, name):
        self.run(f"world start-gateway {_home(name)}/gateway.conf")
        self._gateway = name

    def stop_gateway(self):
        self.run("world stop-gateway")

    def ask_gateway(self, command):
        """An admin's command on the gateway that was started last; what it printed."""
        return self.run(f"fortros-gateway {command} --config {_home(self._gateway)}/gateway.conf").stdout

    def create_invite(self):
        return self.ask_gateway("invite create").strip().splitlines()[-1] + "\n"

    def invites(self):
        return self.ask_gateway("invite list")

    def nodes(self):
        """The public keys that the gateway has admitted."""
        return re.findall(r"[A-Za-z0-9+/]{43}=", self.ask_gateway("node list"))

    def handshake_with(self, public_key):
        """Whether the kernel of the gateway's host has had a handshake with this node."""
        found = re.findall(rf"\t{re.escape(public_key)}\t(\d+)", self.run("wg show all latest-handshakes").stdout)
        return any(int(seconds) > 0 for seconds in found)

    def logs(self, count=20):
        """The last lines of every server's log, for a failure's message."""
        return "\n".join(f"{name}:\n" + self.run(f"tail -n {count} /var/log/{name}.log 2>&1", check=False).stdout
                         for name in LOGS)


def _home(gateway):
    return f"/etc/fortros/{gateway}"
