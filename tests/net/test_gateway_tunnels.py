"""What a gateway does to a real kernel: its interface, its guard, and a peer for each member.

One guest; in it the gateway, and a node in a network namespace of its own.

    gateway (the guest itself)                    node (namespace)
      fortros0  overlay address, ListenPort 51820   wg0  the key of NODE, endpoint 10.0.0.1:51820
      uplink    10.0.0.1 ------------------------ 10.0.0.2  lan
"""

import functools
import json
import tempfile

from lib.gateway import CLIENT, PROGRAM, Site, expect
from lib.guest import Guest, SharedGuest
from lib.guest_gateway import GuestGateway, client_of, files_of

TIME_LIMIT_S = 300
TAKES_S = 60
NODE, OTHERS, ROBBED = 1, (2, 3), 5  # seeds
NO_TIMER_CHECK = "no_timer_check"

SETTINGS = """\
[Gateway]
Database=/run/state/gateway.db

[WireGuard]
Endpoints=10.0.0.1:51820
"""


@functools.cache
def site():
    return Site(tempfile.mkdtemp(prefix="gateway."))


def make_guest():
    return Guest(programs=["wg", "ip", "nft", "ping", PROGRAM, CLIENT], files=files_of(site(), settings=SETTINGS),
                 modules=["wireguard", "nf_tables", "veth", "nlmon"], command_line=NO_TIMER_CHECK, prefer_programs=True)


def set_up(machine):
    GuestGateway(machine).start()
    set_up_node(machine)


guest = SharedGuest(make_guest, set_up)
run = guest.run
gateway = GuestGateway(guest)


def ensure_gateway():
    """One that serves, whatever the test before has left."""
    if not gateway.is_alive():
        gateway.start()


def tell(line, machine=guest):
    return json.loads(machine.run(f"echo '{line}' | {client_of(site())}").stdout)


def ask(line):
    """A node's request; it must be answered with 200."""
    answer = tell(line)
    assert answer.get("status") == 200, answer
    return answer


def set_up_node(machine):
    """Enrols NODE and gives it its end of the tunnel, which is silent until it is pinged through."""
    keys = tell(f"key {NODE}", machine)
    invite = machine.run("fortros-gateway invite create 2>/dev/null").stdout.strip()
    answer = tell(f"enroll {NODE} {invite}", machine)
    assert answer.get("status") == 200, answer
    machine.put("/run/node.key", keys["private_key"], 0o600)
    machine.run(f"""
        set -e
        ip netns add node
        ip link add uplink type veth peer name lan netns node
        ip addr add 10.0.0.1/24 dev uplink
        ip link set uplink up
        ip -n node addr add 10.0.0.2/24 dev lan
        ip -n node link set lan up
        ip -n node link add wg0 type wireguard
        ip netns exec node wg set wg0 private-key /run/node.key \
            peer {site().gateway.wireguard_public} endpoint 10.0.0.1:51820 allowed-ips {site().org.prefix}
        ip -n node addr add {answer["overlay_address"]}/128 dev wg0 nodad
        ip -n node link set wg0 up
        ip -n node route add {site().org.prefix} dev wg0
    """)


@functools.cache
def node():
    """Its keys and its overlay address."""
    return tell(f"key {NODE}") | ask(f"join {NODE}")


@functools.cache
def gateway_address():
    return gateway.address()


def ping_gateway(**options):
    return run(f"ip netns exec node ping -n -c 1 -W 10 {gateway_address()}", **options).status == 0


def peers():
    """public key → allowed IPs"""
    lines = run("wg show fortros0 allowed-ips").stdout.splitlines()
    return dict(line.split("\t") for line in lines)


def last_handshake():
    lines = run("wg show fortros0 latest-handshakes").stdout.splitlines()
    return int(dict(line.split("\t") for line in lines).get(node()["public_key"], 0))


# --- the interface --------------------------------------------------------------------------------

def test_the_interface_is_the_gateways():
    """Nodes would meet nobody at the address and the key that they were told."""
    expect(run("wg show fortros0 public-key").stdout.strip(), site().gateway.wireguard_public, "the key")
    expect(run("wg show fortros0 listen-port").stdout.strip(), "51820", "the port")
    assert f"inet6 {gateway_address()}/128" in run("ip -6 address show dev fortros0").stdout
    routes = run(f"ip -6 route show {site().org.prefix}").stdout
    assert "dev fortros0" in routes and f"src {gateway_address()}" in routes, routes
    assert "table inet fortros" in run("nft list ruleset").stdout, "no guard against plaintext packets"


def test_a_member_is_a_peer_with_its_own_address_and_no_other():
    """A node could not reach the gateway, or could speak as another."""
    expect(peers().get(node()["public_key"]), node()["overlay_address"] + "/128", "its allowed IPs")
    assert ping_gateway(check=False), run("wg show").stdout + gateway.log()
    assert last_handshake() > 0


# --- joins and sessions ---------------------------------------------------------------------------

def forget_session():
    """The node's kernel makes its peer anew."""
    public = site().gateway.wireguard_public
    run(f"""
        ip netns exec node wg set wg0 peer {public} remove
        ip netns exec node wg set wg0 private-key /run/node.key peer {public} endpoint 10.0.0.1:51820 \
            allowed-ips {site().org.prefix}
    """)


def test_a_join_leaves_a_live_session_alone():
    """Each boot of a maintainer would make the tunnel blink."""
    ping_gateway()
    before = last_handshake()
    ask(f"join {NODE} has-session")
    expect(last_handshake(), before, "the newest handshake after a join that tells of the session")
    ask(f"join {NODE} stepped-back")
    expect(last_handshake(), 0, "the newest handshake after a join whose clock stepped back")
    forget_session()  # the node's end of it
    assert ping_gateway(check=False)


def test_a_clock_that_was_ahead_once_is_forgiven_at_the_join():
    """A node whose clock was ten years ahead for one boot would be dropped by the kernel for ten years."""
    now = int(run("date +%s").stdout)
    ask(f"join {NODE} stepped-back")
    forget_session()
    run(f"date -s @{now + 3650 * 86400}")
    assert ping_gateway(check=False), "no tunnel, even with the clock ahead"
    run(f"date -s @{now + 60}")
    forget_session()
    assert not ping_gateway(check=False), "the kernel has taken an old handshake: this test tests nothing"
    ask(f"join {NODE}")
    guest.wait_until(f"ip netns exec node ping -n -c 1 -W 10 {gateway_address()}", timeout_s=60)


# --- changes --------------------------------------------------------------------------------------

def test_a_revoked_node_is_cut_off_at_once():
    """A stolen machine would stay in the overlay until the gateway is restarted."""
    invite = run("fortros-gateway invite create --uses 2 --approval no 2>/dev/null").stdout.strip()
    keys = [ask(f"enroll {seed} {invite}")["public_key"] for seed in OTHERS]
    assert set(keys) <= set(peers()), peers()
    run(f"fortros-gateway node revoke {keys[0]}")
    guest.wait_until(f"! wg show fortros0 peers | grep -qF {keys[0]}", timeout_s=10)
    assert keys[1] in peers()
    assert "revoked" in run("fortros-gateway node list").stdout


def test_a_restart_does_not_touch_what_is_right():
    """Every update of the gateway would interrupt the whole org."""
    ensure_gateway()
    ping_gateway()
    before = run("wg show fortros0 dump").stdout
    for signal in ("TERM", "KILL"):
        gateway.end(signal)
        gateway.start()
        expect(run("wg show fortros0 dump").stdout.splitlines()[0], before.splitlines()[0], "the interface")
        expect(last_handshake(), max(int(line.split("\t")[4]) for line in before.splitlines()[1:]),
               "the newest handshake after a restart")
        log = gateway.log()
        assert "overlay-changed" not in log and "peers-changed" not in log, log
    assert ping_gateway(check=False)


def test_a_restart_mends_what_is_wrong():
    """What somebody did by hand, or was done while the gateway was down, would stay."""
    ensure_gateway()
    gateway.end()
    stranger = run("wg genkey | wg pubkey").stdout.strip()
    invite = run("fortros-gateway invite create 2>/dev/null").stdout.strip()
    run(f"""
        wg set fortros0 peer {node()["public_key"]} remove
        wg set fortros0 peer {stranger} allowed-ips {node()["overlay_address"]}/128
        ip -6 route del {site().org.prefix} dev fortros0
    """)
    gateway.start()
    expect(peers().get(node()["public_key"]), node()["overlay_address"] + "/128", "the member's allowed IPs")
    assert stranger not in peers(), "a peer that is no member stayed"
    assert "dev fortros0" in run(f"ip -6 route show {site().org.prefix}").stdout
    assert invite


def endpoint():
    lines = run("wg show fortros0 endpoints").stdout.splitlines()
    return dict(line.split("\t") for line in lines)[node()["public_key"]]


def test_a_node_that_has_roamed_stays_where_it_is():
    """A laptop that has changed networks would be answered at the address that it left."""
    ensure_gateway()
    ask(f"join {NODE} stepped-back")
    forget_session()
    assert ping_gateway(check=False)
    settled = endpoint()
    assert settled.startswith("10.0.0.2:"), settled
    run("ip -n node addr del 10.0.0.2/24 dev lan && ip -n node addr add 10.0.0.9/24 dev lan")
    assert ping_gateway(check=False)
    roamed, handshake = endpoint(), last_handshake()
    assert roamed == settled.replace("10.0.0.2", "10.0.0.9"), roamed
    ask(f"join {NODE} has-session")
    expect(endpoint(), roamed, "the endpoint after a join")
    gateway.end()
    run(f"wg set fortros0 peer {node()['public_key']} persistent-keepalive 7")
    gateway.start()
    assert "1 peers brought in line" in gateway.log(), "nothing was mended: this tests nothing"
    expect((endpoint(), last_handshake()), (roamed, handshake), "the endpoint and the handshake after a reconcile")
    run("ip -n node addr del 10.0.0.9/24 dev lan && ip -n node addr add 10.0.0.2/24 dev lan")
    assert ping_gateway(check=False)


PACKETS = "cat /sys/class/net/nlmon0/statistics/rx_packets"
WITHOUT_READING = 2  # netlink messages of a join


def test_an_address_is_not_taken_from_another_peer():
    """What is sent to one machine would go to another, and nobody would be told."""
    ensure_gateway()
    invite = run("fortros-gateway invite create 2>/dev/null").stdout.strip()
    robbed = ask(f"enroll {ROBBED} {invite}")
    key = tell(f"key {ROBBED}")["public_key"]
    ask(f"join {NODE}")
    forget_session()
    assert ping_gateway(check=False), "no live session: joins would make it anew"
    stranger = run("wg genkey | wg pubkey").stdout.strip()
    run(f"wg set fortros0 peer {stranger} allowed-ips {robbed['overlay_address']}/128")
    join = f"echo 'join {NODE}' | {client_of(site())} >/dev/null"
    run(f"""
        ip link add nlmon0 type nlmon && ip link set nlmon0 up
        until before=$({PACKETS}); {join}; [ $(($({PACKETS}) - before)) -gt {WITHOUT_READING} ]; do :; done
    """)  # until the gateway has read its peers
    expect(tell(f"join {ROBBED}").get("status"), 503, "the answer to a node whose address is a stranger's")
    assert "is the address of another" in gateway.log()
    guest.wait_until(f"! wg show fortros0 peers | grep -qF {stranger}", timeout_s=20)
    expect(peers().get(key), robbed["overlay_address"] + "/128", "the member's allowed IPs")
    assert "event=address-moved" in gateway.log()
    ask(f"join {ROBBED}")


def test_a_removed_interface_comes_back():
    """Somebody who tidies up would end the org, and a restart would be needed to mend it."""
    ensure_gateway()
    run("ip link del fortros0")
    answer = tell(f"join {NODE}")
    assert answer.get("status") in (200, 503), answer
    guest.wait_until("wg show fortros0 peers | grep -qF " + node()["public_key"], timeout_s=20)
    ask(f"join {NODE}")


# Runs last: NODE is thrown out.

PINGS, PING_INTERVAL_S, FLOWING = 60, 0.1, 5
STILL_ANSWERED = 10  # a second's worth


def test_a_revoked_nodes_packets_stop_within_a_second():
    """A stolen machine would go on talking in the overlay with the session that it has."""
    ensure_gateway()
    forget_session()
    ask(f"join {NODE}")
    assert ping_gateway(check=False)
    before, after = run(f"""
        ip netns exec node ping -n -i {PING_INTERVAL_S} -c {PINGS} {gateway_address()} >/run/ping.log &
        answered() {{ grep -c 'bytes from' /run/ping.log; }}
        until [ "$(answered)" -ge {FLOWING} ]; do sleep 0.05; done
        fortros-gateway node revoke {node()["public_key"]} 2>/dev/null || exit 1
        before=$(answered)
        wait
        echo "$before $(answered)"
    """, timeout_s=120).stdout.split()
    print(f"of {PINGS} packets {before} were answered when the command returned, {after} in the end")
    assert int(before) + STILL_ANSWERED < PINGS, "it was revoked too late to tell"
    assert int(after) - int(before) <= STILL_ANSWERED, f"{int(after) - int(before)} packets after the revocation"
    assert node()["public_key"] not in peers()


def test_a_node_revoked_while_nothing_serves_is_out_before_anything_is_served():
    """A stolen machine would be back for as long as the gateway takes to look."""
    ensure_gateway()
    invite = run("fortros-gateway invite create 2>/dev/null").stdout.strip()
    key = ask(f"enroll 4 {invite}")["public_key"]
    assert key in peers()
    gateway.end()
    run(f"fortros-gateway node revoke {key}")
    assert key in peers(), "nobody has served: this test tests nothing"
    gateway.start()
    assert key not in peers()
    log = gateway.log()
    assert log.index("event=peers-changed") < log.index("event=serving"), log
