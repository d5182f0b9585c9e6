"""os/links where routers say that there is a DHCPv6 server: real servers, real advertisements.

    node [eth0]────────────[lan0] router: fe80::1, 2001:db8:1::1/64, and no IPv4 at all
"""

import signal
import time

from lib import dhcp_servers
from lib.links_probe import LinksProbe
from lib.netns import Net

TIME_LIMIT_S = 120
TAKES_S = 70
NODE_MAC = "02:f0:00:00:00:77"
DUID = "0003000102f000000077"  # DUID-LL of the MAC
IAID = 0x00000077
SOLICIT, REQUEST, RENEW, REPLY, INFORMATION_REQUEST = 1, 3, 5, 7, 11
RESOLVER = "2001:db8:1::53"


def lan(net):
    node, router = net.namespace("node"), net.namespace("router")
    # Not to wait for duplicate detection on the router's side as well.
    router.sysctl("net.ipv6.conf.default.accept_dad", 0)
    net.wire(node, "eth0", router, "lan0", a_mac=NODE_MAC, a_up=True)
    router.run("ip", "address", "add", "fe80::1/64", "dev", "lan0", "nodad")
    router.run("ip", "address", "add", "2001:db8:1::1/64", "dev", "lan0", "nodad")
    return node, router


def address_of(node, address):
    """The address as `ip` has it; None when it is not there."""
    found = [item for item in node.ip("-6", "address", "show", "dev", "eth0")[0]["addr_info"]
             if item.get("local") == address]
    return found[0] if found else None


def dhcp(packets):
    """(type, packet) of each DHCPv6 message."""
    return [(packet.payload[0], packet) for packet in packets if packet.kind == "dhcp" and ":" in packet.source]


def is_leased(event):
    return "address" in event.get("dhcp6", {})


def test_a_network_that_gives_addresses_by_dhcpv6_of_kea():
    """A node in an IPv6-only network without SLAAC would have no address and no resolver."""
    with Net() as net:
        node, router = lan(net)
        dhcp_servers.kea6(router, "lan0", options=[("dns-servers", f"{RESOLVER}, 2001:db8:1::54")], preferred_s=400)
        dhcp_servers.radvd(router, "lan0", "AdvManagedFlag on;", autonomous=False)
        wire = router.capture("lan0")
        probe = LinksProbe(node)
        link = probe.usable(is_leased)
        lease = link["dhcp6"]
        assert link["addresses"] == [f"{lease['address']}/128"], link
        assert lease["address"].startswith("2001:db8:1::"), link
        assert link["resolvers"] == [RESOLVER, "2001:db8:1::54"] == lease["resolvers"], link
        assert link["gateways"] == ["fe80::1"], link
        assert "dhcp" not in link, link
        # What a client in the real root would need to renew or release it.
        assert (lease["client_id"], lease["iaid"]) == (DUID, IAID), lease
        assert (lease["lease_seconds"], lease["preferred_seconds"]) == (600, 400), lease
        assert 0 < lease["renew_seconds"] < lease["rebind_seconds"] < 400, lease
        assert lease["server_id"] and lease["acquired_ms"] > 0, lease
        # The kernel itself takes the address away when nobody renews it.
        address = address_of(node, lease["address"])
        assert 590 <= address["valid_life_time"] <= 600 and 390 <= address["preferred_life_time"] <= 400, address
        node.run("ping", "-c", "1", "-W", "5", "2001:db8:1::1")
        types = [kind for kind, _ in dhcp(wire.stop())]
        assert types.count(SOLICIT) and types.count(REQUEST) and types[-1] == REPLY, types
        assert probe.end()["peak_rss_kib"] <= 4096


def test_rapid_commit_needs_two_packets():
    """A boot behind a slow relay would wait for two round trips instead of one."""
    with Net() as net:
        node, router = lan(net)
        dhcp_servers.kea6(router, "lan0", rapid_commit=True)
        dhcp_servers.radvd(router, "lan0", "AdvManagedFlag on;", autonomous=False)
        wire = router.capture("lan0")
        LinksProbe(node).usable(is_leased)
        assert {kind for kind, _ in dhcp(wire.stop())} == {SOLICIT, REPLY}


def test_a_dnsmasq_that_advertises_itself_as_managed():
    """Home routers: one program is router and server."""
    with Net() as net:
        node, router = lan(net)
        dhcp_servers.dnsmasq6(router, "lan0", "--enable-ra", "--dhcp-range=2001:db8:1::50,2001:db8:1::99,64,600",
                              f"--dhcp-option=option6:dns-server,[{RESOLVER}]")
        link = LinksProbe(node).usable(lambda event: is_leased(event) and event["addresses"])
        assert link["addresses"] == [f"{link['dhcp6']['address']}/128"], link
        assert link["resolvers"] == [RESOLVER], link
        assert link["gateways"], link


def test_resolvers_by_stateless_dhcpv6_of_dnsmasq():
    """Networks where SLAAC gives the address and only DHCPv6 the resolvers: the node would ask nobody."""
    with Net() as net:
        node, router = lan(net)
        dhcp_servers.dnsmasq6(router, "lan0", "--dhcp-range=2001:db8:1::,static",
                              f"--dhcp-option=option6:dns-server,[{RESOLVER}]")
        dhcp_servers.radvd(router, "lan0", "AdvOtherConfigFlag on;")
        wire = router.capture("lan0")
        probe = LinksProbe(node)
        link = probe.usable(lambda event: event["addresses"] and event["resolvers"])
        assert link["resolvers"] == [RESOLVER], link
        assert [address.split("/")[1] for address in link["addresses"]] == ["64"], link
        assert "address" not in link["dhcp6"] and link["dhcp6"]["client_id"] == DUID, link
        assert {kind for kind, _ in dhcp(wire.stop())} == {INFORMATION_REQUEST, REPLY}


def test_resolvers_by_stateless_dhcpv6_of_kea():
    """The same, of the server that data centres run."""
    with Net() as net:
        node, router = lan(net)
        dhcp_servers.kea6(router, "lan0", options=[("dns-servers", RESOLVER)])
        dhcp_servers.radvd(router, "lan0", "AdvOtherConfigFlag on;")
        link = LinksProbe(node).usable(lambda event: event["addresses"] and event["resolvers"])
        assert link["resolvers"] == [RESOLVER] and "address" not in link["dhcp6"], link


def test_an_ipv6_lease_is_renewed():
    """A boot that takes long, or holds, would lose its address and with it the tunnel's underlay."""
    with Net() as net:
        node, router = lan(net)
        dhcp_servers.kea6(router, "lan0", seconds=60, preferred_s=50, renew_s=3, rebind_s=40)
        dhcp_servers.radvd(router, "lan0", "AdvManagedFlag on;", autonomous=False)
        probe = LinksProbe(node)
        first = probe.usable(is_leased)["dhcp6"]
        wire = router.capture("lan0")
        # The lease that is handed on is the newest.
        later = probe.usable(lambda event: is_leased(event) and event["dhcp6"]["acquired_ms"] > first["acquired_ms"])
        assert later["dhcp6"]["address"] == first["address"], later
        # The kernel counts from the renewal on, however late we look.
        left_s = address_of(node, first["address"])["valid_life_time"]
        ends_ms = (time.clock_gettime(time.CLOCK_BOOTTIME) + left_s) * 1000
        assert ends_ms >= later["dhcp6"]["acquired_ms"] + 58_000, (left_s, later)
        assert [kind for kind, _ in dhcp(wire.stop())][:2] == [RENEW, REPLY]


def test_an_address_that_another_host_has_is_given_back():
    """Two hosts with one address: neither could be talked to, and the boot would wait for ever."""
    with Net() as net:
        node, router = lan(net)
        taken = "2001:db8:1::50"  # what the server gives first
        router.run("ip", "address", "add", f"{taken}/64", "dev", "lan0", "nodad")
        server = dhcp_servers.kea6(router, "lan0", options=[("dns-servers", RESOLVER)])
        dhcp_servers.radvd(router, "lan0", "AdvManagedFlag on;", autonomous=False)
        probe = LinksProbe(node)
        link = probe.usable(lambda event: event["addresses"])
        assert link["addresses"] == [f"{link['dhcp6']['address']}/128"], link
        assert link["dhcp6"]["address"] != taken, link
        server.wait_for("DECLINE")
        assert any("is another host's already" in line for line in probe.process.lines)


def test_an_endless_address_that_another_host_has_is_given_back():
    """The kernel keeps such an address, and only flags it: the boot would wait for it for ever."""
    with Net() as net:
        node, router = lan(net)
        taken = "2001:db8:1::50"
        router.run("ip", "address", "add", f"{taken}/64", "dev", "lan0", "nodad")
        server = dhcp_servers.kea6(router, "lan0", seconds=0xffffffff)
        dhcp_servers.radvd(router, "lan0", "AdvManagedFlag on;", autonomous=False)
        link = LinksProbe(node).usable(lambda event: event["addresses"])
        assert link["dhcp6"]["lease_seconds"] == 0xffffffff, link
        assert link["dhcp6"]["address"] != taken, link
        server.wait_for("DECLINE")
        assert address_of(node, taken) is None


def test_a_leased_address_that_somebody_takes_away_is_put_back():
    """Another program that flushes the link: the server would be told a lie, and the tunnel lose its underlay."""
    with Net() as net:
        node, router = lan(net)
        dhcp_servers.kea6(router, "lan0")
        dhcp_servers.radvd(router, "lan0", "AdvManagedFlag on;", autonomous=False)
        probe = LinksProbe(node)
        address = probe.usable(is_leased)["dhcp6"]["address"]
        wire = router.capture("lan0")
        node.run("ip", "address", "delete", f"{address}/128", "dev", "eth0")
        probe.wait_for("lost")
        again = probe.usable(lambda event: event["addresses"])
        assert again["dhcp6"]["address"] == address, again
        assert address_of(node, address)["valid_life_time"] <= 600
        assert not dhcp(wire.stop())


def test_nobody_is_asked_where_no_router_says_so():
    """Every boot would send packets that the network's owner has not asked for."""
    with Net() as net:
        node, router = lan(net)
        dhcp_servers.kea6(router, "lan0", options=[("dns-servers", RESOLVER)])
        dhcp_servers.radvd(router, "lan0", "RDNSS 2001:db8:1::54 { };")
        wire = router.capture("lan0")
        probe = LinksProbe(node)
        link = probe.usable(lambda event: event["addresses"] and event["resolvers"])
        assert link["resolvers"] == ["2001:db8:1::54"] and "dhcp6" not in link, link
        assert not dhcp(wire.stop())


def test_a_router_that_changes_its_mind_is_followed():
    """A network that gets its server while the node waits: nothing but a flag is another then."""
    with Net() as net:
        node, router = lan(net)
        routers = dhcp_servers.radvd(router, "lan0", autonomous=False)
        probe = LinksProbe(node)
        node.until(lambda: node.ip("-6", "route", "show", "default"))
        dhcp_servers.kea6(router, "lan0", options=[("dns-servers", RESOLVER)])
        dhcp_servers.radvd_file(router, "lan0", "AdvManagedFlag on;", autonomous=False)
        routers.signal(signal.SIGHUP)
        assert probe.usable(is_leased)["resolvers"] == [RESOLVER]


def test_another_mac_has_a_lease_of_its_own():
    """Two machines would have one DUID: the one whose card once bore the MAC, and the one that bears it now."""
    with Net() as net:
        node, router = lan(net)
        dhcp_servers.kea6(router, "lan0")
        dhcp_servers.radvd(router, "lan0", "AdvManagedFlag on;", autonomous=False)
        probe = LinksProbe(node)
        before = probe.usable(is_leased)
        assert before["dhcp6"]["client_id"] == DUID, before
        node.run("ip", "link", "set", "eth0", "address", "02:f0:00:00:00:78")
        link = probe.usable(lambda event: is_leased(event) and event["dhcp6"]["client_id"] != DUID)
        assert (link["dhcp6"]["client_id"], link["dhcp6"]["iaid"]) == ("0003000102f000000078", 0x00000078), link
        assert link["addresses"] == [f"{link['dhcp6']['address']}/128"] != before["addresses"], link
        assert not address_of(node, before["dhcp6"]["address"])


def test_a_missing_server_is_told_in_words():
    """The engineer at the console would not know that the router has promised a server."""
    with Net() as net:
        node, router = lan(net)
        dhcp_servers.radvd(router, "lan0", "AdvManagedFlag on;", autonomous=False)
        probe = LinksProbe(node)
        assert "and no IPv6 address: no DHCPv6 answer, asked 2 times" in probe.trouble("DHCPv6")["why"] or (
            probe.trouble("and no IPv6 address: no DHCPv6 answer, asked 2 times"))
        # A server that comes late is still taken.
        dhcp_servers.kea6(router, "lan0")
        assert probe.usable(is_leased)


def test_a_cable_that_comes_back_is_asked_about_again():
    """The old address would be used on a network that knows nothing of it."""
    with Net() as net:
        node, router = lan(net)
        server = dhcp_servers.kea6(router, "lan0")
        dhcp_servers.radvd(router, "lan0", "AdvManagedFlag on;", autonomous=False)
        probe = LinksProbe(node)
        address = probe.usable(is_leased)["dhcp6"]["address"]
        server.stop()
        router.run("ip", "link", "set", "lan0", "down")
        probe.wait_for("lost")
        router.run("ip", "link", "set", "lan0", "up")
        node.until(lambda: "LOWER_UP" in node.ip("link", "show", "dev", "eth0")[0]["flags"])
        probe.trouble("no DHCPv6 answer")
        router.run("ip", "address", "replace", "fe80::1/64", "dev", "lan0", "nodad")
        router.run("ip", "address", "replace", "2001:db8:1::1/64", "dev", "lan0", "nodad")
        dhcp_servers.kea6(router, "lan0")
        again = probe.usable(is_leased)
        assert again["dhcp6"]["address"] == address, again
