"""A gateway of 20,000 members on a real kernel: its peers from a cold start, and what one change costs then.

One guest; nobody but the gateway is there, and a client that enrols and joins over TLS. `nlmon` counts every
netlink message that passes in the guest, so that costs are counted and not timed:

    few    100 members       the same changes, message by message and byte by byte
    many   20,000 members
"""

import base64
import functools
import json
import shutil
import tempfile

from lib import crowd
from lib.gateway import CLIENT, PROGRAM, Site
from lib.guest import Guest, SharedGuest
from lib.guest_gateway import GuestGateway, client_of, files_of

TIME_LIMIT_S = 300
TAKES_S = 90
DATABASE = "/run/state/gateway.db"
FEW, MANY = 100, 20_000
CONFIGURED_WITHIN_S = 120  # catches a hang, and what grows with the square
MEMORY_MIB = 512
SEEDS = {FEW: "1", MANY: "2"}

SETTINGS = f"""\
[Gateway]
Database={DATABASE}

[WireGuard]
Endpoints=192.0.2.1:51820
"""


@functools.cache
def site():
    """Its registry has an invite for everybody."""
    made = Site(tempfile.mkdtemp(prefix="many."))
    made.invite("--uses", "1000")
    return made


def registry_of(count):
    """The registry as it would be after `count` enrolments."""
    path = site().folder / f"{count}.db"
    shutil.copy(site().database, path)
    crowd.add_members(path, range(count), site().org.prefix)
    return path


def make_guest():
    files = files_of(site(), settings=SETTINGS)
    for count in (FEW, MANY):
        files[f"/root/{count}.db"] = registry_of(count)
    return Guest(programs=["wg", "ip", "nft", PROGRAM, CLIENT], files=files, memory_mib=MEMORY_MIB,
                 modules=["wireguard", "nf_tables", "nlmon"], prefer_programs=True)


def count_netlink(machine):
    machine.run("ip link set lo up; ip link add nlmon0 type nlmon && ip link set nlmon0 up")


guest = SharedGuest(make_guest, count_netlink)
gateway = GuestGateway(guest)


@functools.cache
def serve_cold(count):
    """A gateway of `count` members starts on a kernel that knows none of them; the one before ends."""
    if gateway.is_alive():
        gateway.end()
        guest.run("ip link del fortros0", timeout_s=CONFIGURED_WITHIN_S)
    guest.run(f"mkdir -p -m 700 /run/state; rm -f {DATABASE}*; cp /root/{count}.db {DATABASE}")
    gateway.start(CONFIGURED_WITHIN_S)
    user, system = guest.run(f"cut -d' ' -f14,15 /proc/{gateway.pid}/stat").stdout.split()
    print(f"{count} members configured: {user} ticks of 10 ms in the gateway, {system} in the kernel for it")
    return count


def peers_of(count):
    """As `wg show allowed-ips` tells them, sorted."""
    members = (crowd.member(number, site().org.prefix) for number in range(count))
    return sorted(f"{base64.b64encode(key).decode()}\t{address}/128\n" for key, address in members)


def peers():
    return sorted(guest.run("wg show fortros0 allowed-ips").stdout.splitlines(True))


def assert_peers(expected):
    found = peers()
    assert found == expected, (len(found), len(expected), list(set(found) ^ set(expected))[:3])


# --- what a change costs --------------------------------------------------------------------------

COUNTERS = "cat /sys/class/net/nlmon0/statistics/rx_packets /sys/class/net/nlmon0/statistics/rx_bytes"


def ask(words, done="true"):
    """A request: the netlink messages and bytes that passed until its answer, and until `done`."""
    out = guest.run(f"{COUNTERS}; echo '{words}' | {client_of(site())} || exit 1; "
                    f"until {done}; do usleep 50000; done; {COUNTERS}").stdout.splitlines()
    answer = json.loads(out[2])
    assert answer.get("status") == 200, answer
    return answer, tuple(int(after) - int(before) for before, after in zip(out[:2], out[3:], strict=True))


@functools.cache
def costs(count):
    """What each kind of change cost a gateway of `count` members: name → (messages, bytes)."""
    serve_cold(count)
    seed = SEEDS[count]
    invite = guest.run("fortros-gateway invite create 2>/dev/null").stdout.strip()
    ask_all = {"enrol": f"enroll {seed} {invite}", "boot": f"join {seed} boot=1",
               "session": f"join {seed} has-session"}
    cost = {name: ask(words)[1] for name, words in ask_all.items()}
    line = f"{ask(f'join {seed} has-session')[0]['public_key']}\t"
    before = [int(number) for number in guest.run(COUNTERS).stdout.split()]
    assert any(peer.startswith(line) for peer in peers()), "the new member is no peer"
    whole = [int(number) - start for number, start in zip(guest.run(COUNTERS).stdout.split(), before)]
    print(f"{count} members (messages, bytes): {cost}, all peers read once: {whole}")
    return cost, whole


# --- tests, in the order of the play --------------------------------------------------------------

def test_a_few_members_are_peers():
    """The first nodes of an org would find no gateway."""
    serve_cold(FEW)
    assert_peers(peers_of(FEW))
    costs(FEW)


def test_twenty_thousand_members_are_peers_after_a_cold_start():
    """After a power cut a large org would be without tunnels, or some of its nodes would."""
    serve_cold(MANY)
    assert f"{MANY} peers brought in line" in gateway.log()
    assert_peers(peers_of(MANY))


def test_one_change_costs_the_same_however_many_there_are():
    """In a large org every join would be dear, and the storm after a power cut endless."""
    (few, few_read), (many, many_read) = costs(FEW), costs(MANY)
    assert many == few, f"{FEW} members: {few}, {MANY} members: {many}"
    assert many_read[1] > 50 * few_read[1], "reading all peers is not seen: this test tests nothing"


def test_the_gateway_reads_all_of_them_back():
    """Every restart would change peers that are right, and cut their tunnels."""
    serve_cold(MANY)
    costs(MANY)
    before = peers()
    gateway.end()
    stray = before[0].split("\t")[0]
    guest.run(f"wg set fortros0 peer {stray} persistent-keepalive 7")
    for changed in (["fortros0: 1 peers brought in line"], []):
        gateway.start(CONFIGURED_WITHIN_S)
        log = gateway.log()
        assert [line for line in changed if line not in log] == [], log
        assert ("peers-changed" in log) == bool(changed), log
        gateway.end()
    assert peers() == before
