"""The overlay's interfaces and their guard on a real kernel, seen with wg, ip and nft.

One guest, and in it, each in a network namespace, the peers of a node; a veth pair to each.

    node (the guest itself)
      fortros0     fd12:3456:789a::a
        node-east   10.0.1.1 ---- 10.0.1.2  east   lighthouse  ::e   wg0, set up with wg(8)
        node-west   10.0.2.1 ---- 10.0.2.2  west   lighthouse  ::f
        node-mate   10.0.3.1 ---- 10.0.3.2  mate   node        ::c
"""

import functools
import json
import pathlib
import subprocess

from lib.guest import Guest, SharedGuest

TAKES_S = 40
PROBE = pathlib.Path(__file__).resolve().parents[2] / "build/out/tests/net/overlay-probe"
PREFIX = "fd12:3456:789a::/48"
NODE, EAST, WEST, MATE = (f"fd12:3456:789a::{host}" for host in "aefc")
PEERS = {"east": (1, EAST), "west": (2, WEST), "mate": (3, MATE)}
PORT = 51820


@functools.cache
def private_key(name):
    return subprocess.run(["wg", "genkey"], check=True, capture_output=True, text=True).stdout.strip()


@functools.cache
def public_key(name):
    return subprocess.run(["wg", "pubkey"], check=True, capture_output=True, text=True,
                          input=private_key(name)).stdout.strip()


def set_up(machine):
    """Gives the guest its peers."""
    for name, (number, address) in PEERS.items():
        machine.put(f"/run/{name}.key", private_key(name))
        machine.run(f"""
            set -e
            ip netns add {name}
            ip link add node-{name} type veth peer name lan netns {name}
            ip addr add 10.0.{number}.1/24 dev node-{name}
            ip link set node-{name} up
            ip -n {name} addr add 10.0.{number}.2/24 dev lan
            ip -n {name} link set lan up
            ip -n {name} link set lo up
            ip -n {name} link add wg0 type wireguard
            ip netns exec {name} wg set wg0 listen-port {PORT} private-key /run/{name}.key \
                peer {public_key("node")} allowed-ips {NODE}/128
            ip -n {name} addr add {address}/128 dev wg0 nodad
            ip -n {name} link set wg0 up
            ip -n {name} route add {PREFIX} dev wg0
        """)


guest = SharedGuest(lambda: Guest(programs=["wg", "ip", "nft", "ping", PROBE], prefer_programs=True,
                                  modules=["wireguard", "nf_tables", "veth", "dummy"]), set_up)
run = guest.run


def peer(name, *allowed, **more):
    number, address = PEERS[name]
    return {"public_key": public_key(name), "endpoint": f"10.0.{number}.2:{PORT}",
            "allowed_ips": list(allowed) or [f"{address}/128"], **more}


def interface(name, peers, routes, **more):
    return {"name": name, "listen_port": 0, "mtu": 1420, "addresses": [], "peers": peers,
            "routes": [{"destination": to, "metric": metric} for to, metric in routes], **more}


def lighthouse(number, name, metric):
    return interface(f"fortros-lh{number}", [peer(name, PREFIX, keepalive_seconds=25)],
                     [(f"{PEERS[name][1]}/128", 256), (PREFIX, metric)])


def plan(lighthouses=("east", "west"), direct=None):
    return {"private_key": private_key("node"), "prefix": PREFIX, "address": NODE, "interfaces": [
        interface("fortros0", [peer("mate")] if direct is None else direct,
                  [(f"{MATE}/128", 256), (PREFIX, 4096)], addresses=[f"{NODE}/128"]),
        *(lighthouse(number, name, 512 + number) for number, name in enumerate(lighthouses))]}


def probe(words, **options):
    return json.loads(run(f"overlay-probe {words}", **options).stdout)


def refusal(words):
    """What the probe says when it must fail."""
    done = run(f"overlay-probe {words}", check=False)
    assert done.status == 1, done
    return done.stderr.strip()


def put_plan(content):
    guest.put("/run/plan.json", json.dumps(content), 0o600)


def apply(content):
    put_plan(content)
    return probe("apply /run/plan.json")


def ensure_overlay():
    """The overlay of plan(), whatever the test before has left."""
    apply(plan())


def ip_json(words):
    return json.loads(run(f"ip -j {words}").stdout or "[]")


def handshakes():
    """(interface, peer's key) → seconds, of every peer that has answered."""
    lines = run("wg show all latest-handshakes").stdout.split("\n")
    return {(name, key): int(when) for name, key, when in (line.split() for line in lines if line) if when != "0"}


def ping(address, more=""):
    run(f"ping -n -c 1 -W 10 {more} {address}")


def loss_while(action):
    """Packets lost of one each 20 ms through fortros0 and through a lighthouse while `action` runs."""
    run(f"for to in {MATE} {EAST}; do ping -n -i 0.02 $to >/run/ping.$to 2>&1 & echo $!; done >/run/pings")
    for to in (MATE, EAST):
        guest.wait_until(f"grep -q icmp_seq=2 /run/ping.{to}")
    action()
    for to in (MATE, EAST):
        count = f"grep -c bytes.from /run/ping.{to}"
        guest.wait_until(f"[ $({count}) -gt {int(run(count).stdout) + 5} ]")
    run("kill -INT $(cat /run/pings)")
    lost = 0
    for to in (MATE, EAST):
        guest.wait_until(f"grep -q transmitted /run/ping.{to}")
        sent, received = (int(word) for word in run(
            f"sed -n 's/^\\([0-9]*\\) packets transmitted, \\([0-9]*\\) .*/\\1 \\2/p' /run/ping.{to}").stdout.split())
        lost += max(0, sent - received - 1)  # the last may still be on its way
    return lost


def assert_equal(got, wanted):
    assert got == wanted, f"\n  {got}\nis not\n  {wanted}"


# --- what is missing ------------------------------------------------------------------------------

def test_a_kernel_without_the_modules_is_told_apart():
    """Who builds an image without WireGuard or nf_tables would not learn what is missing."""
    with Guest("bare", programs=[PROBE]) as bare:
        for words, module in (("take-down", "wireguard.ko"), (f"guard {PREFIX}", "nf_tables.ko")):
            done = bare.run(f"overlay-probe {words}", check=False)
            assert done.status == 1, done
            assert done.stderr.strip().endswith(f"put {module} into the image"), done.stderr


# --- the interfaces -------------------------------------------------------------------------------

def test_a_plan_becomes_interfaces():
    """A node would have no overlay."""
    applied = apply(plan())
    assert len(applied["changes"]) == 19, applied["changes"]
    links = {link["ifname"]: link for link in ip_json("-d link show")}
    for made in applied["interfaces"]:
        link = links[made["name"]]
        assert link["ifindex"] == made["ifindex"]
        assert link["mtu"] == 1420
        assert "UP" in link["flags"], link
        assert link["linkinfo"]["info_kind"] == "wireguard"
        assert made["listen_port"] == int(run(f"wg show {made['name']} listen-port").stdout)
        assert run(f"wg show {made['name']} public-key").stdout.strip() == public_key("node")
    (address,) = [info for link in ip_json("-6 addr show dev fortros0") for info in link["addr_info"]]
    assert (address["local"], address["prefixlen"]) == (NODE, 128)
    assert address["noprefixroute"] and address["nodad"] and not address.get("tentative")
    assert run("wg show fortros-lh0 allowed-ips").stdout.split() == [public_key("east"), PREFIX]
    assert run("wg show fortros-lh0 persistent-keepalive").stdout.split() == [public_key("east"), "25"]


def test_routes_carry_the_overlay_address_and_prefer_the_first_lighthouse():
    """Packets would leave with an underlay address, or take a detour."""
    ensure_overlay()
    routes = {(route["dst"], route["dev"]): route for route in ip_json("-6 route show")
              if route["dev"].startswith("fortros")}
    assert {key: route["metric"] for key, route in routes.items()} == {
        (MATE, "fortros0"): 256, (PREFIX, "fortros0"): 4096, (EAST, "fortros-lh0"): 256,
        (PREFIX, "fortros-lh0"): 512, (WEST, "fortros-lh1"): 256, (PREFIX, "fortros-lh1"): 513}
    assert all(route["prefsrc"] == NODE for route in routes.values()), routes
    for to, through in ((MATE, "fortros0"), (WEST, "fortros-lh1"), ("fd12:3456:789a::1234", "fortros-lh0")):
        assert ip_json(f"route get {to}")[0]["dev"] == through


def test_every_peer_is_reached_through_its_tunnel():
    """The overlay would be there and carry nothing."""
    ensure_overlay()
    for _, address in PEERS.values():
        ping(address)
    assert len(handshakes()) == 3
    (status,) = probe("status fortros0")["peers"]
    assert status["handshake"] and status["received"] > 0
    assert status["endpoint"] == f"10.0.3.2:{PORT}"


def test_the_same_plan_again_changes_nothing_and_loses_nothing():
    """Adoption by the real root would make every tunnel blink."""
    ensure_overlay()
    for _, address in PEERS.values():
        ping(address)
    before = probe("apply /run/plan.json"), handshakes()

    def adopt():
        for _ in range(5):
            assert probe("apply /run/plan.json")["changes"] == []

    assert loss_while(adopt) == 0
    assert (probe("apply /run/plan.json"), handshakes()) == before


def test_lighthouses_in_another_order_change_routes_alone():
    """All tunnels would break because a gateway names its lighthouses in another order."""
    ensure_overlay()
    for _, address in PEERS.values():
        ping(address)
    before = handshakes()
    reordered = plan(lighthouses=("west", "east"))
    assert loss_while(lambda: apply(reordered)) == 0
    assert handshakes() == before
    assert apply(reordered)["changes"] == []
    assert ip_json("route get fd12:3456:789a::1234")[0]["dev"] == "fortros-lh1"  # west's, as it was
    assert len(apply(plan())["changes"]) == 4


def test_a_lighthouse_that_is_gone_takes_its_interface_with_it():
    """Packets would go on to a lighthouse that the org has given up."""
    ensure_overlay()
    changes = apply(plan(lighthouses=("west",)))["changes"]
    assert changes[-1] == "fortros-lh0: remove", changes
    assert [link["ifname"] for link in ip_json("link show") if link["ifname"].startswith("fortros")] == [
        "fortros0", "fortros-lh1"]
    ping(WEST)


def test_an_address_moves_between_peers():
    """After a node's key changed its packets would still go to the old one."""
    ensure_overlay()
    other = {"public_key": public_key("other"), "endpoint": "10.0.3.2:1", "allowed_ips": [f"{MATE}/128"]}
    apply(plan(direct=[peer("mate", "fd12:3456:789a::77/128"), other]))
    owners = dict(line.split(maxsplit=1) for line in run("wg show fortros0 allowed-ips").stdout.splitlines())
    assert owners == {public_key("mate"): "fd12:3456:789a::77/128", public_key("other"): f"{MATE}/128"}
    ensure_overlay()
    assert run("wg show fortros0 allowed-ips").stdout.split() == [public_key("mate"), f"{MATE}/128"]
    ping(MATE)


def move_mate(old, new):
    run(f"ip -n mate addr del {old}/24 dev lan && ip -n mate addr add {new}/24 dev lan")
    run(f"ip netns exec mate ping -n -c 1 -W 10 {NODE}")


def test_a_roamed_endpoint_is_kept():
    """A laptop that has changed networks would be sent back to the address that it left."""
    ensure_overlay()
    ping(MATE)
    move_mate("10.0.3.2", "10.0.3.9")
    assert probe("apply /run/plan.json")["changes"] == []
    assert run("wg show fortros0 endpoints").stdout.split() == [public_key("mate"), f"10.0.3.9:{PORT}"]
    move_mate("10.0.3.9", "10.0.3.2")


def test_what_somebody_changed_is_mended():
    """An interface that an admin or a network manager has broken would stay broken."""
    ensure_overlay()
    run(f"""
        ip link set fortros0 mtu 1500
        ip -6 route del {MATE}/128 dev fortros0
        ip -6 route add fd12:3456:789a::dead/128 dev fortros0
        ip -6 addr add fd12:3456:789a::beef/128 dev fortros0 nodad
        ip -6 addr add fd99::1/128 dev fortros0 nodad
        wg set fortros-lh0 peer {public_key("east")} persistent-keepalive off
        wg set fortros-lh0 peer {public_key("other")} allowed-ips fd12:3456:789a::dead/128
        ip link set fortros-lh1 down
    """)
    assert_equal(set(probe("apply /run/plan.json")["changes"]), {
        "fortros0: set MTU 1420",
        f"fortros0: add route {MATE}/128 metric 256",
        "fortros0: remove route fd12:3456:789a::dead/128 metric 1024",
        "fortros0: remove route fd12:3456:789a::beef/128 metric 256",  # the kernel's own of the next
        "fortros0: remove address fd12:3456:789a::beef/128",
        f"fortros-lh0: remove peer {public_key('other')}",
        f"fortros-lh0: update peer {public_key('east')}",
        "fortros-lh1: bring up",
        f"fortros-lh1: add route {WEST}/128 metric 256",
        f"fortros-lh1: add route {PREFIX} metric 513"})
    assert probe("apply /run/plan.json")["changes"] == []
    assert "fd99::1" in run("ip addr show dev fortros0").stdout


def test_the_kernel_keeps_the_key_for_the_real_root():
    """The maintainer, who gets no key handed over, could make no interface."""
    ensure_overlay()
    assert probe("same-key fortros0 /run/plan.json") == {"same": True}
    run("ip link add keyless type wireguard")
    assert "none is set" in refusal("same-key keyless /run/plan.json")


def test_a_name_that_is_taken_by_another_kind_is_refused():
    """Somebody else's interface would be reconfigured, or the reason of a failure stay unclear."""
    probe("take-down")
    run("ip link add fortros0 type dummy")
    put_plan(plan())
    assert refusal("apply /run/plan.json") == (
        "there is an interface 'fortros0' already, and it is not WireGuard's")
    assert ip_json("-d link show dev fortros0")[0]["linkinfo"]["info_kind"] == "dummy"
    run("ip link del fortros0")


def test_a_listen_port_that_is_taken_is_named():
    """An admin who chose a port that is in use would not learn which."""
    ensure_overlay()
    taken = plan()
    taken["interfaces"][0]["listen_port"] = int(run("wg show fortros-lh0 listen-port").stdout)
    put_plan(taken)
    said = refusal("apply /run/plan.json")
    assert said.startswith(f"cannot set listen port {taken['interfaces'][0]['listen_port']} of 'fortros0'"), said
    assert "Address already in use" in said, said


# --- many peers -----------------------------------------------------------------------------------

def test_three_thousand_peers_arrive_whole():
    """A gateway would know only the first of its nodes, or add them again and again."""
    assert probe("peers many 3000 2", timeout_s=120) == {"changes": 3000, "peers": 3000, "left": 0}
    assert int(run("wg show many peers | wc -l").stdout) == 3000
    assert int(run("wg show many allowed-ips | wc -w").stdout) == 9000
    assert probe("peers many 3000 2", timeout_s=120) == {"changes": 0, "peers": 3000, "left": 0}


def test_a_dump_that_is_given_up_does_not_block_the_next():
    """After one message that it did not understand a maintainer could read nothing any more."""
    probe("peers many 3000 2", timeout_s=120)
    answer = probe("give-up many")
    assert answer["error"] == "not this one", answer
    assert answer["messages"] > 5, answer


def test_peers_with_thousands_of_allowed_ips_arrive_whole():
    """A site router's networks would be cut off at one message's end."""
    assert probe("peers wide 3 3000", timeout_s=120) == {"changes": 3, "peers": 3, "left": 0}
    assert int(run("wg show wide allowed-ips | wc -w").stdout) == 3 * 3001
    assert probe("peers wide 2 10", timeout_s=120) == {"changes": 3, "peers": 2, "left": 0}


# --- the guard ------------------------------------------------------------------------------------

def echoes_received():
    return int(run("awk '$1 == \"Icmp6InEchos\" {print $2}' /proc/net/snmp6").stdout)


def inject_plaintext():
    """One echo request to the node's overlay address, beside the tunnel, from a forged member."""
    run(f"ip netns exec east ping -n -c 1 -W 1 -I fd12:3456:789a::bad -m 7 {NODE}", check=False)


def drops():
    rules = json.loads(run("nft -j list table inet fortros").stdout)["nftables"]
    return [part["counter"]["packets"] for entry in rules for part in entry.get("rule", {}).get("expr", ())
            if "counter" in part]


def test_the_guard_drops_plaintext_and_lets_the_tunnels_through():
    """Any host of the LAN could speak to a node as if it were a member."""
    ensure_overlay()
    # The forger's packets take a routing table of their own, so that east's own tunnel stays.
    run(f"""
        set -e
        router=$(ip -j addr show dev node-east | sed 's/.*"local":"\\(fe80[^"]*\\)".*/\\1/')
        ip -n east addr add fd12:3456:789a::bad/128 dev lo nodad
        ip -n east -6 rule add fwmark 7 lookup 7
        ip -n east -6 route add {NODE}/128 via $router dev lan table 7
    """)
    before = echoes_received()
    inject_plaintext()
    assert echoes_received() == before + 1, "the injection does not work, so the test proves nothing"

    run("nft add table ip mine; nft add chain ip mine input")
    probe(f"guard {PREFIX}")
    inject_plaintext()
    assert echoes_received() == before + 1
    assert drops() == [1, 0]  # the first rule took it
    for _, address in PEERS.values():
        ping(address)
    ping(NODE)  # over lo
    assert drops() == [1, 0]


def test_the_guard_again_replaces_its_own_rules_alone():
    """A second boot stage would double the rules, or wipe the admin's firewall."""
    run("nft list table ip mine >/dev/null 2>&1 || { nft add table ip mine; nft add chain ip mine input; }")
    probe(f"guard {PREFIX}")
    probe("guard fd00:1:2::/48")
    rules = run("nft list ruleset").stdout
    assert rules.count("table ip mine") == 1 and "chain input" in rules, rules
    assert rules.count("drop") == 2 and PREFIX not in rules, rules
    for direction in ("saddr", "daddr"):
        assert f'ip6 {direction} fd00:1:2::/48 iifname != "lo" iifname != "fortros*" counter' in rules, rules
    assert "type filter hook prerouting priority raw; policy accept;" in rules, rules


# --- the end --------------------------------------------------------------------------------------

def test_taking_down_removes_the_overlay_and_nothing_else():
    """A revoked node would stay in the overlay, or lose interfaces that are not the overlay's."""
    ensure_overlay()
    run("ip link add fortros-other type dummy; ip link add wg-admin type wireguard")
    assert probe("take-down") == {"removed": 3}
    names = {link["ifname"] for link in ip_json("link show")}
    assert not {"fortros0", "fortros-lh0", "fortros-lh1"} & names, names
    assert {"fortros-other", "wg-admin", "node-east"} <= names, names
    assert probe("take-down") == {"removed": 0}
