"""A gateway's machine is lost; another with its keys and the last backup takes its place, and nodes notice nothing.

Three guests, of which two are the gateway's, one after the other, at one end of a cable:

    node  eth0 10.0.0.2 ─────────── eth0 10.0.0.1  gateway, then another machine
          wg0   a kernel's tunnel ─ fortros0       and its disk in memory: what is not in the backup is gone
"""

import json
import pathlib
import tempfile

from lib.gateway import CLIENT, PROGRAM, Site, expect
from lib.guest import Guest
from lib.guest_gateway import HOME, GuestGateway, client_of, files_of
from lib.qemu import Cable, Nic

TIME_LIMIT_S = 300
TAKES_S = 45
GATEWAY, NODE = "10.0.0.1", "10.0.0.2"
MEMBER, NEWER = 1, 2  # seeds
ANSWERED_WITHIN_S = 120

SETTINGS = f"""\
[Gateway]
Database=/run/state/gateway.db

[WireGuard]
Endpoints={GATEWAY}:51820
"""


def gateway_machine(name, site, plug, mac):
    return Guest(name, programs=["wg", "ip", "nft", PROGRAM], files=files_of(site, settings=SETTINGS),
                 modules=["wireguard", "nf_tables"], nics=[Nic(plug, mac)], prefer_programs=True)


def node_machine(site, plug):
    return Guest("node", programs=["wg", "ip", "ping", CLIENT], files={f"{HOME}/ca.pem": site.org.ca},
                 modules=["wireguard"], nics=[Nic(plug, "52:54:00:00:00:02")], prefer_programs=True)


def serve(machine):
    """Its overlay address."""
    machine.run(f"ip addr add {GATEWAY}/24 dev eth0 && ip link set eth0 up")
    gateway = GuestGateway(machine)
    gateway.start()
    return gateway.address()


def set_up_tunnel(node, site, told, private_key):
    node.put("/run/node.key", private_key, 0o600)
    node.run(f"""
        set -e
        ip link add wg0 type wireguard
        wg set wg0 private-key /run/node.key peer {site.gateway.wireguard_public} \
            endpoint {GATEWAY}:51820 allowed-ips {site.org.prefix}
        ip addr add {told["overlay_address"]}/128 dev wg0 nodad
        ip link set wg0 up
        ip route add {site.org.prefix} dev wg0
    """)


def test_another_machine_takes_the_place_of_a_lost_one():
    """Every node's way into the overlay would be lost with one disk, and each console visited."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="restore."))
    site = Site(folder)
    cable = Cable(folder)

    with node_machine(site, cable.b) as node:
        node.run(f"ip addr add {NODE}/24 dev eth0 && ip link set eth0 up")

        def tell(line):
            return json.loads(node.run(f"echo '{line}' | {client_of(site, address=GATEWAY)}").stdout)

        keys = tell(f"key {MEMBER}")
        with gateway_machine("gateway", site, cable.a, "52:54:00:00:00:01") as gateway:
            address = serve(gateway)
            invite = gateway.run("fortros-gateway invite create --uses 2 --approval no 2>/dev/null").stdout.strip()
            told = tell(f"enroll {MEMBER} {invite}")
            expect(told.get("status"), 200, f"an enrolment: {told}")
            set_up_tunnel(node, site, told, keys["private_key"])
            answered = f"ping -n -c 1 -W 2 {address}"
            node.wait_until(answered)
            gateway.run("fortros-gateway backup /run/backup")
            backup = gateway.get("/run/backup")
            expect(tell(f"enroll {NEWER} {invite}").get("status"), 200, "an enrolment after the backup")
        assert node.run(answered, check=False).status != 0, "somebody answers: nothing is lost"

        with gateway_machine("another", site, cable.a, "52:54:00:00:00:99") as another:
            another.put("/root/backup", backup, 0o600)
            another.run("fortros-gateway restore /root/backup")
            expect(serve(another), address, "the address of the restored gateway")
            # With the tunnel that it has, by nothing that anybody does on it.
            node.wait_until(answered, timeout_s=ANSWERED_WITHIN_S)
            again = tell(f"join {MEMBER}")
            expect((again.get("status"), again.get("overlay_address")), (200, told["overlay_address"]),
                   "the join of a member")
            expect(another.run("wg show fortros0 peers").stdout.split(), [keys["public_key"]], "the kernel's peers")
            expect(tell(f"join {NEWER}").get("refusal"), "unknown-node", "who came after the backup")
            expect(tell(f"enroll {NEWER} {invite}").get("status"), 200, "and its enrolment anew")
            another.run("fortros-gateway audit verify")
