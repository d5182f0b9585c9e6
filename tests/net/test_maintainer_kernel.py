"""What the maintainer does to the kernel beside WireGuard: demand counted by nf_tables, rules of routing for
lighthouses, forwarding, and the search for reverse-path filters. Seen with ip(8) and nft(8), in namespaces.

    node  fortros-lh0 ────────── lan0  mate
          fd12:3456:789a::a            fd12:3456:789a::b, ::c
"""

import json
import pathlib
import re

from lib.netns import Net

PROBE = pathlib.Path(__file__).resolve().parents[2] / "build/out/tests/net/demand-probe"
PREFIX = "fd12:3456:789a::/48"
NODE, MATE, OTHER = (f"fd12:3456:789a::{host}" for host in "abc")


def pair(net):
    """A node and, by what looks like a lighthouse's interface, two members."""
    node, mate = net.namespace("node"), net.namespace("mate")
    node_mac, mate_mac = net.mac(), net.mac()
    net.wire(node, "fortros-lh0", mate, "lan0", a_up=True, a_mac=node_mac, b_mac=mate_mac)
    node.run("ip", "addr", "add", f"{NODE}/48", "dev", "fortros-lh0", "nodad")
    # In a tunnel nobody asks for neighbours.
    mate.run("ip", "neigh", "add", NODE, "lladdr", node_mac, "dev", "lan0")
    for address in (MATE, OTHER):
        mate.run("ip", "addr", "add", f"{address}/48", "dev", "lan0", "nodad")
        node.run("ip", "neigh", "add", address, "lladdr", mate_mac, "dev", "fortros-lh0")
    return node, mate


def ask(probe):
    """What has been counted since it was asked last."""
    seen = len(probe.lines)
    probe.process.stdin.write("\n")
    probe.process.stdin.flush()
    return json.loads(probe.wait_for(r"^\{", after=seen))


def ping(node, address, size, count=1):
    node.run("ping", "-n", "-c", count, "-i", "0.01", "-s", size, "-W", "10", address)


def test_traffic_through_lighthouses_is_counted_by_member_and_direction():
    """A node could not know which peers would pay, and would go through lighthouses for ever."""
    with Net() as net:
        node, _ = pair(net)
        probe = node.start(PROBE, "count", PREFIX, ready=r"^\{")
        assert ask(probe) == {}
        ping(node, MATE, 1000, count=5)
        ping(node, OTHER, 100)
        # IPv6 and ICMPv6 headers are 48 bytes; there and back.
        assert ask(probe) == {MATE: 5 * 2 * 1048, OTHER: 2 * 148}
        ping(node, MATE, 500)
        assert ask(probe) == {MATE: 2 * 548}
        assert ask(probe) == {}


def test_counting_survives_a_flush_of_all_rules():
    """A reload of the firewall would end it."""
    with Net() as net:
        node, _ = pair(net)
        probe = node.start(PROBE, "count", PREFIX, ready=r"^\{")
        node.run("nft", "flush", "ruleset")
        assert ask(probe) == {}
        ping(node, MATE, 500)
        assert ask(probe) == {MATE: 2 * 548}


def test_other_traffic_is_not_counted():
    """Demand would be seen where there is none."""
    with Net() as net:
        node, mate = net.namespace("node"), net.namespace("mate")
        net.wire(node, "eth0", mate, "lan0", a_up=True)
        node.run("ip", "addr", "add", f"{NODE}/48", "dev", "eth0", "nodad")
        mate.run("ip", "addr", "add", f"{MATE}/48", "dev", "lan0", "nodad")
        probe = node.start(PROBE, "count", PREFIX, ready=r"^\{")
        ping(node, MATE, 500)
        assert ask(probe) == {}


def rules(node):
    return [line for line in node.run("ip", "-6", "rule").splitlines() if line.startswith(("5181:", "5182:"))]


def test_relay_rules_follow_the_interfaces():
    """Packets would circle between two lighthouses, or the rules of one that is gone stay for ever."""
    with Net() as net:
        node = net.namespace("node")
        node.run(PROBE, "relay", "fortros-lh0", "fortros-lh1")
        assert [re.sub(r"\s+", " ", rule).strip() for rule in rules(node)] == [
            "5181: from all iif fortros-lh0 [detached] lookup main suppress_prefixlength 48",
            "5181: from all iif fortros-lh1 [detached] lookup main suppress_prefixlength 48",
            "5182: from all iif fortros-lh0 [detached] unreachable",
            "5182: from all iif fortros-lh1 [detached] unreachable"], rules(node)
        node.run(PROBE, "relay", "fortros-lh1")
        assert len(rules(node)) == 2
        node.run("ip", "-6", "rule", "add", "priority", "5000", "from", "fd00::1", "lookup", "main")
        node.run(PROBE, "relay")
        assert rules(node) == []
        assert "fd00::1" in node.run("ip", "-6", "rule")


def test_forwarding_keeps_the_hosts_router():
    """A lighthouse would lose its default route in the moment that it begins to forward."""
    with Net() as net:
        node, router = net.namespace("node"), net.namespace("router")
        net.wire(node, "eth0", router, "lan0", a_up=True)
        node.sysctl("net.ipv6.conf.eth0.accept_ra", 1)
        net.wire(node, "quiet", router, "lan1")
        node.sysctl("net.ipv6.conf.quiet.accept_ra", 0)
        assert json.loads(node.run(PROBE, "forward")) == {"before": False, "after": True}
        assert node.run("cat", "/proc/sys/net/ipv6/conf/eth0/accept_ra").strip() == "2"
        assert node.run("cat", "/proc/sys/net/ipv6/conf/quiet/accept_ra").strip() == "0"
        assert json.loads(node.run(PROBE, "forward")) == {"before": True, "after": True}


STRICT = """table inet firewalld {
    chain raw {
        type filter hook prerouting priority raw
        %s
        meta nfproto ipv6 fib saddr . mark . iif oif missing drop
    }
}
"""


def test_strict_reverse_path_filters_are_found_and_others_are_not():
    """Answers that come another way would vanish, and nobody could say why."""
    with Net() as net:
        node = net.namespace("node")
        look = lambda: json.loads(node.run(PROBE, "path-filters"))
        load = lambda text: node.run("nft", "-f", net.file("rules.nft", "flush ruleset\n" + text))
        assert look() == []
        load(STRICT % "")
        assert look() == ["table inet firewalld, chain raw"]
        load(STRICT % 'iifname "fortros*" accept')
        assert look() == []
        load((STRICT % "").replace(" . iif oif", " oif"))  # loose
        assert look() == []
