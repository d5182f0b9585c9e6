"""Three gateways with a kernel's WireGuard each, on three members of etcd: whoever dies, all end with the same peers.

One guest; etcd in the guest itself, each gateway in a network namespace of its own, nodes that enrol from outside.

    nodes ──▶ 10.9.0.1, bridge, etcd 0 1 2
                 ├── gw0  10.9.0.10  fortros0
                 ├── gw1  10.9.0.11  fortros0
                 └── gw2  10.9.0.12  fortros0

FORTROS_TUNNEL_ROUNDS=N says how often a gateway and a member are killed, FORTROS_SEED the seed.
"""

import json
import os
import pathlib
import random
import tempfile

from lib import etcd
from lib.gateway import CLIENT, PROGRAM, Site, expect
from lib.guest import Guest, SharedGuest
from lib.guest_gateway import GuestGateway, client_of, files_of
from lib.once import once
from lib.org import Org

TIME_LIMIT_S = 900
TAKES_S = 120
GATEWAYS = MEMBERS = 3
ROUNDS = int(os.environ.get("FORTROS_TUNNEL_ROUNDS", "8"))
SEED = int(os.environ.get("FORTROS_SEED", "20261122"))
NODES_A_ROUND = 4  # at each gateway
LONGEST_DELAY_S = 0.3
ETCD_ADDRESS = "10.9.0.1"
MEMBER_LIMIT_S = 180
CONVERGE_LIMIT_S = 180

SETTINGS = """\
[Gateway]
[Etcd]
Endpoints={etcd}
{certificates}

[Operate]
Listen=/run/operate{number}

[WireGuard]
Endpoints={address}:51820
"""


def home(number):
    return f"/etc/fortros{number}"


def address(number):
    return f"10.9.0.1{number}"


def admin(number, words):
    """An admin's command in the gateway's own namespace."""
    return f"ip netns exec gw{number} fortros-gateway {words} --config {home(number)}/gateway.conf"


@once
def sites():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tunnels."))
    org = Org.make(folder / "org")
    return [Site(folder / f"gateway{number}", org=org) for number in range(GATEWAYS)]


@once
def certificates():
    return etcd.Certificates(tempfile.mkdtemp(prefix="etcd."), ETCD_ADDRESS)


def make_guest():
    endpoints = " ".join(f"https://{ETCD_ADDRESS}:{etcd.CLIENT_PORT + member}" for member in range(MEMBERS))
    files = {file: (pathlib.Path(file), 0o600) for file in certificates().files}
    for number, site in enumerate(sites()):
        settings = SETTINGS.format(etcd=endpoints, certificates=certificates().settings, number=number,
                                   address=address(number))
        files |= files_of(site, settings=settings, home=home(number))
    return Guest(programs=["wg", "ip", "nft", "etcd", PROGRAM, CLIENT], files=files, prefer_programs=True,
                 modules=["wireguard", "nf_tables", "veth", "bridge"], memory_mib=1536)


def set_up(guest):
    guest.run(f"ip link add br0 type bridge && ip addr add {ETCD_ADDRESS}/24 dev br0 && ip link set br0 up")
    for number in range(GATEWAYS):
        guest.run(f"""
            set -e
            ip netns add gw{number}
            ip link add to-gw{number} type veth peer name uplink netns gw{number}
            ip link set to-gw{number} master br0 up
            ip -n gw{number} link set lo up
            ip -n gw{number} addr add {address(number)}/24 dev uplink
            ip -n gw{number} link set uplink up
        """)
    for member in range(MEMBERS):
        guest.run(spawn_member(member))
    for member in range(MEMBERS):
        guest.wait_until(serves(member), timeout_s=MEMBER_LIMIT_S)
    for gateway in gateways_of(guest):
        gateway.start()


def gateways_of(guest):
    return [GuestGateway(guest, command=admin(number, "serve"), name=f"gateway{number}") for number in range(GATEWAYS)]


machine = SharedGuest(make_guest, set_up)
gateways = gateways_of(machine)


# --- members of etcd ------------------------------------------------------------------------------

def spawn_member(number):
    def peer(member):
        return f"http://{ETCD_ADDRESS}:{etcd.PEER_PORT + member}"

    client = f"https://{ETCD_ADDRESS}:{etcd.CLIENT_PORT + number}"
    cluster = ",".join(f"etcd{member}={peer(member)}" for member in range(MEMBERS))
    options = " ".join((*etcd.TIMES, *certificates().of_member(certificates().member)))
    return (f": >/run/etcd{number}.log; /bin/etcd --name etcd{number} --data-dir /run/etcd{number} {options} "
            f"--listen-client-urls {client} --advertise-client-urls {client} --listen-peer-urls {peer(number)} "
            f"--initial-advertise-peer-urls {peer(number)} --initial-cluster {cluster} "
            f"2>/run/etcd{number}.log & echo $! >/run/etcd{number}.pid")


def serves(member):
    return f"grep -q 'ready to serve client requests' /run/etcd{member}.log"


# --- what is enrolled, and what the kernels have --------------------------------------------------

def client(number):
    return client_of(sites()[number], address=address(number), home=home(number))


def answers(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def members():
    """The keys of the registry, as a gateway reads them."""
    listed = json.loads(machine.run(f"{admin(0, 'node list --json')}").stdout)
    return {node["public_key"] for node in listed if node["state"] == "member"}


def peers(number):
    return set(machine.run(f"ip netns exec gw{number} wg show fortros0 peers").stdout.split())


def wait_until_all_have(expected):
    """Every kernel exactly these peers, and each its own address."""
    machine.put("/run/expected", "".join(f"{key}\n" for key in sorted(expected)))
    same = " && ".join(f"ip netns exec gw{number} wg show fortros0 peers | LC_ALL=C sort | cmp -s - /run/expected"
                       for number in range(GATEWAYS))
    machine.run("LC_ALL=C sort -o /run/expected /run/expected")
    try:
        machine.wait_until(same, timeout_s=CONVERGE_LIMIT_S)
    except AssertionError as error:
        differ = {number: peers(number) ^ expected for number in range(GATEWAYS)}
        logs = machine.run("for i in 0 1 2; do tail -n 5 /run/gateway$i.log; done").stdout
        raise AssertionError(f"the peers that differ, by gateway: {differ}\n{logs}") from error


def test_whoever_dies_every_kernel_ends_with_the_same_peers():
    """A node that enrolled at one gateway would find no way into the overlay through another, for ever."""
    print(f"seed {SEED}, {ROUNDS} rounds", flush=True)
    dice = random.Random(SEED)
    invite = machine.run(f"{admin(0, 'invite create --uses 100000 --approval no')} 2>/dev/null").stdout.strip()
    told_yes, asked = set(), 0
    for number in range(ROUNDS):
        for site in range(GATEWAYS):
            first = 1 + asked + site * NODES_A_ROUND
            words = "".join(f"enroll {first + i} {invite}\n" for i in range(NODES_A_ROUND))
            machine.put(f"/run/words{site}", words)
        asked += GATEWAYS * NODES_A_ROUND
        dies, member = dice.randrange(GATEWAYS), dice.randrange(MEMBERS)
        delays = [dice.uniform(0, LONGEST_DELAY_S) for _ in range(2)]
        clients = "\n".join(f"{client(site)} </run/words{site} >/run/said{site} 2>&1 & nodes=\"$nodes $!\""
                            for site in range(GATEWAYS))
        machine.run(f"""
            nodes=
            {clients}
            (usleep {int(delays[0] * 1e6)}; kill -9 {gateways[dies].pid}) & one=$!
            (usleep {int(delays[1] * 1e6)}; kill -9 $(cat /run/etcd{member}.pid)) & other=$!
            wait $one $other $nodes
            exit 0
        """, timeout_s=120)
        machine.run(spawn_member(member))
        gateways[dies].spawn()
        machine.wait_until(serves(member), timeout_s=MEMBER_LIMIT_S)
        gateways[dies].wait_until_it_serves()
        said = answers(machine.run("cat /run/said0 /run/said1 /run/said2").stdout)
        told_yes |= {answer["public_key"] for answer in said if answer.get("status") == 200}
    known = members()
    print(f"{asked} asked, {len(told_yes)} were told yes, {len(known)} are members")
    assert len(told_yes) >= ROUNDS, "hardly anybody was told yes: this test tests nothing"
    assert told_yes <= known, f"{len(told_yes - known)} that were told yes are forgotten"
    wait_until_all_have(known)
    used = [entry["used"] for entry in json.loads(machine.run(admin(1, "invite list --json")).stdout)]
    expect(used, [len(known)], "how often the invite is spent")


def test_who_is_revoked_while_a_gateway_is_dead_is_not_its_peer_when_it_is_back():
    """Its kernel goes on without it, and a stolen machine would keep that way in."""
    invite = machine.run(f"{admin(0, 'invite create --approval no')} 2>/dev/null").stdout.strip()
    (answer,) = answers(machine.run(f"echo 'enroll 900000 {invite}' | {client(0)}").stdout)
    expect(answer.get("status"), 200, f"the answer {answer}")
    wait_until_all_have(members())
    gateways[2].end("KILL")
    machine.run(admin(1, f"node revoke {answer['public_key']}"))
    assert answer["public_key"] in peers(2), "somebody has taken it out already: this test tests nothing"
    gateways[2].start()
    assert answer["public_key"] not in peers(2)
    wait_until_all_have(members())
