"""os/links against real DHCP servers.

    node [eth0]────────────[lan0] router
                             192.0.2.1/24, the server
"""

import re
import signal

from lib import dhcp_servers
from lib.links_probe import LinksProbe
from lib.netns import Net

TIME_LIMIT_S = 120
NODE_MAC = "02:f0:00:00:00:77"
CLIENT_ID = "0102f000000077"
OTHER_MAC = "02:f0:00:00:00:78"
DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5


def lan(net, *, up=False):
    """A node with a cable to a router; nothing is configured on the node. `up`: its end is up already,
    because Kea serves no interface without a carrier."""
    node, router = net.namespace("node"), net.namespace("router")
    net.wire(node, "eth0", router, "lan0", a_mac=NODE_MAC, a_up=up)
    router.run("ip", "address", "add", "192.0.2.1/24", "dev", "lan0")
    return node, router


def address_of(node, interface="eth0", family="inet", scope="global"):
    """The interface's one address of this kind, as `ip` has it; None without one."""
    found = [item for item in node.ip("address", "show", "dev", interface)[0]["addr_info"]
             if item["family"] == family and item["scope"] == scope]
    assert len(found) <= 1, found
    return found[0] if found else None


def routes_of(node):
    """{destination: route} of what DHCP has set."""
    return {route["dst"]: route for route in node.ip("route", "show", "proto", "dhcp")}


def dhcp(packets):
    return [packet for packet in packets if packet.kind == "dhcp"]


def message_type(packet):
    """Option 53 of a DHCP message (RFC 2132, 9.6)."""
    options = packet.payload[240:]
    while options and options[0] != 255:
        if options[0] == 53:
            return options[2]
        options = options[1:] if options[0] == 0 else options[2 + options[1]:]
    raise AssertionError("a DHCP message without a type")


def test_a_lease_of_dnsmasq_is_set_whole():
    """The node would have no address, no way out, no resolver, or lose them in the middle of the boot."""
    with Net() as net:
        node, router = lan(net)
        server = dhcp_servers.dnsmasq(router, "lan0", "option:router,192.0.2.1", "option:mtu,1400",
                                      "option:dns-server,192.0.2.53,198.51.100.53", "option:ntp-server,192.0.2.123")
        probe = LinksProbe(node)
        link = probe.usable()
        address = address_of(node)
        assert link["name"] == "eth0" and link["mac"] == NODE_MAC, link
        assert link["addresses"] == [f"{address['local']}/24"], link
        assert link["gateways"] == ["192.0.2.1"], link
        assert link["resolvers"] == ["192.0.2.53", "198.51.100.53"], link
        lease = link["dhcp"]
        assert lease["server"] == "192.0.2.1" and lease["client_id"] == CLIENT_ID, link
        assert lease["address"] == link["addresses"][0] and lease["acquired_ms"] > 0, link
        assert (lease["lease_seconds"], lease["renew_seconds"], lease["rebind_seconds"]) == (600, 300, 525), link
        assert lease["routes"] == [{"destination": "0.0.0.0/0", "gateway": "192.0.2.1"}], link
        assert lease["mtu"] == 1400 and lease["ntp_servers"] == ["192.0.2.123"], link
        # The kernel itself takes the address away when nobody renews it.
        assert 590 <= address["valid_life_time"] <= 600 and 590 <= address["preferred_life_time"] <= 600, address
        assert address["broadcast"] == "192.0.2.255" and address["metric"] == 1024, address
        default = routes_of(node)["default"]
        assert (default["gateway"], default["prefsrc"], default["metric"]) == ("192.0.2.1", address["local"], 1024)
        assert node.ip("link", "show", "dev", "eth0")[0]["mtu"] == 1400
        # A second look finds nothing to change, so nothing is told twice.
        assert [event["event"] for event in probe.events()].count("usable") == 1, probe.events()
        server.wait_for(r"client provides name: node7")
        node.run("ping", "-c", "1", "-W", "5", "192.0.2.1")
        assert probe.end()["peak_rss_kib"] <= 4096


def test_classless_routes_of_kea_take_the_place_of_its_router():
    """On networks with more than one way out the node would take the wrong one."""
    with Net() as net:
        node, router = lan(net, up=True)
        dhcp_servers.kea(router, "lan0", options=[
            ("routers", "192.0.2.254"), ("domain-name-servers", "192.0.2.53"),
            ("classless-static-route", "0.0.0.0/0 - 192.0.2.1, 198.51.100.0/24 - 192.0.2.2, "
                                       "203.0.113.7/32 - 0.0.0.0, 10.0.0.0/8 - 203.0.113.7")])
        link = LinksProbe(node).usable()
        assert link["gateways"] == ["192.0.2.1"], link
        assert link["resolvers"] == ["192.0.2.53"], link
        routes = routes_of(node)
        assert routes["default"]["gateway"] == "192.0.2.1", routes
        assert routes["198.51.100.0/24"]["gateway"] == "192.0.2.2", routes
        assert "gateway" not in routes["203.0.113.7"] and routes["203.0.113.7"]["scope"] == "link", routes
        # Its router is on the link only by the route before.
        assert routes["10.0.0.0/8"]["gateway"] == "203.0.113.7", routes
        assert len(routes) == 4, routes


def test_a_route_that_the_kernel_refuses_costs_no_other():
    """One mistake in a server's list of routes, and the node would have no way out, or keep the old network's."""
    with Net() as net:
        node, router = lan(net, up=True)
        routes = "198.51.100.0/24 - 192.0.2.255, 10.0.0.0/8 - 192.0.2.2, 0.0.0.0/0 - 192.0.2.1"
        server = dhcp_servers.kea(router, "lan0", options=[("classless-static-route", routes)],
                                  seconds=24, renew_s=3, rebind_s=18)
        probe = LinksProbe(node)
        link = probe.usable(lambda event: event["gateways"] == ["192.0.2.1"])
        assert set(routes_of(node)) == {"default", "10.0.0.0/8"}, routes_of(node)
        assert any("cannot set the route to 198.51.100.0/24" in line for line in probe.process.lines)
        # Another lease with the same mistake: what only the first had goes all the same.
        server.stop()
        dhcp_servers.dnsmasq(router, "lan0", "option:classless-static-route,198.51.100.0/24,192.0.2.255,"
                             "0.0.0.0/0,192.0.2.1", pool=("192.0.2.200", "192.0.2.210"))
        again = probe.usable(lambda event: event["addresses"] != link["addresses"])
        assert again["addresses"] == [address_of(node)["local"] + "/24"], again
        assert set(routes_of(node)) == {"default"}, routes_of(node)


def test_a_lease_of_udhcpd_is_taken():
    """Home routers and embedded networks run it."""
    with Net() as net:
        node, router = lan(net)
        dhcp_servers.udhcpd(router, "lan0", "router 192.0.2.1", "dns 192.0.2.53")
        link = LinksProbe(node).usable()
        assert link["addresses"] == [f"{address_of(node)['local']}/24"], link
        assert link["gateways"] == ["192.0.2.1"] and link["resolvers"] == ["192.0.2.53"], link


def test_a_server_without_resolvers_gives_a_link_without_any():
    """A network whose DHCP names no resolver: the boot would wait for one, though it knows others."""
    with Net() as net:
        node, router = lan(net, up=True)
        dhcp_servers.kea(router, "lan0", options=[("routers", "192.0.2.1")])
        link = LinksProbe(node).usable()
        assert link["resolvers"] == [] and link["gateways"] == ["192.0.2.1"], link


def test_offers_that_come_late_are_taken():
    """A server behind a slow relay, or a cold one, offers 8 s after the first question: the boot would go on asking."""
    with Net() as net:
        node, router = lan(net)
        server = dhcp_servers.dnsmasq(router, "lan0", "option:router,192.0.2.1")
        server.signal(signal.SIGSTOP)  # it still hears: the kernel keeps its packets
        probe = LinksProbe(node)
        # After 1, 2 and 4 s, give or take: all four questions are answered together then.
        probe.trouble("asked 4 times")
        wire = router.capture("lan0")
        server.signal(signal.SIGCONT)
        link = probe.usable()
        assert link["gateways"] == ["192.0.2.1"], link
        types = [message_type(packet) for packet in dhcp(wire.stop())]
        assert types.count(OFFER) >= 1 and types.count(REQUEST) >= 1 and ACK in types, types
        # The other offers have changed nothing.
        assert address_of(node)["local"] + "/24" == link["addresses"][0]


def two_servers(net):
    """A node on a switch with two servers: 192.0.2.1 and 192.0.2.2, each with a pool and a router of its own."""
    node, switch = net.namespace("node"), net.namespace("switch")
    switch.run("ip", "link", "add", "name", "br0", "type", "bridge")
    switch.run("ip", "link", "set", "br0", "up")
    net.wire(node, "eth0", switch, "port0", a_mac=NODE_MAC)
    switch.run("ip", "link", "set", "port0", "master", "br0")
    servers = []
    for number in (1, 2):
        host = net.namespace(f"server{number}")
        net.wire(host, "lan0", switch, f"port{number}", a_up=True)
        switch.run("ip", "link", "set", f"port{number}", "master", "br0")
        host.run("ip", "address", "add", f"192.0.2.{number}/24", "dev", "lan0")
        servers.append(dhcp_servers.dnsmasq(host, "lan0", f"option:router,192.0.2.{number}",
                                            f"option:dns-server,192.0.2.{number}",
                                            pool=(f"192.0.2.{number}0", f"192.0.2.{number}9")))
    return node, servers


def test_of_two_servers_one_is_believed_whole():
    """The address of one with the router of the other: nothing would come back."""
    with Net() as net:
        node, _ = two_servers(net)
        link = LinksProbe(node).usable()
        server = link["dhcp"]["server"]
        assert server in ("192.0.2.1", "192.0.2.2"), link
        assert link["gateways"] == [server] and link["resolvers"] == [server], link
        assert link["addresses"][0].startswith(server), link
        assert address_of(node)["local"] + "/24" == link["addresses"][0]
        node.run("ping", "-c", "1", "-W", "5", server)


def test_of_two_servers_one_may_be_dead():
    """A second server is there for the day when the first is not."""
    with Net() as net:
        node, servers = two_servers(net)
        probe = LinksProbe(node)
        first = probe.usable()["dhcp"]["server"]
        probe.end()
        dead, other = ("192.0.2.1", "192.0.2.2") if first == "192.0.2.1" else ("192.0.2.2", "192.0.2.1")
        servers[0 if dead == "192.0.2.1" else 1].signal(signal.SIGSTOP)
        node.run("ip", "address", "flush", "dev", "eth0", "scope", "global")
        assert LinksProbe(node).usable()["dhcp"]["server"] == other


def test_rapid_commit_needs_two_packets():
    """A boot behind a slow relay would wait for two round trips instead of one."""
    with Net() as net:
        node, router = lan(net)
        dhcp_servers.dnsmasq(router, "lan0", "--dhcp-rapid-commit")
        wire = router.capture("lan0")
        LinksProbe(node).usable()
        # On a busy machine the first may be sent again before its answer is there.
        types = [message_type(packet) for packet in dhcp(wire.stop())]
        assert set(types) == {DISCOVER, ACK}, types


def test_a_lease_is_renewed_by_unicast():
    """A boot that takes long, or holds, would lose its address and with it the tunnel's underlay."""
    with Net() as net:
        node, router = lan(net, up=True)
        dhcp_servers.kea(router, "lan0", seconds=24, renew_s=3, rebind_s=18)
        probe = LinksProbe(node)
        first = probe.usable()["dhcp"]
        address = address_of(node)["local"]
        wire = router.capture("lan0")
        node.until(lambda: len(dhcp(wire.packets())) >= 2)
        # Renewed after 3 of its 24 seconds; the kernel counts down.
        node.until(lambda: address_of(node)["valid_life_time"] >= 23)
        packets = wire.stop()
        renewal, answer = dhcp(packets)[:2]
        assert (renewal.source, renewal.destination) == (address, "192.0.2.1"), packets
        assert (answer.source, answer.destination) == ("192.0.2.1", address), packets
        # Nobody may tell the server that its answer was unwanted.
        assert not [p for p in packets if p.kind == "other" and p.source == address], packets
        # What the real root is handed is the newest lease, and nothing else has changed.
        later = probe.usable()
        assert later["dhcp"]["acquired_ms"] >= first["acquired_ms"] + 2500, (first, later)
        assert later["dhcp"] | {"acquired_ms": 0} == first | {"acquired_ms": 0}, (first, later)


def test_a_refused_renewal_takes_the_address_away():
    """Two hosts with one address: neither could be talked to."""
    with Net() as net:
        node, router = lan(net, up=True)
        server = dhcp_servers.kea(router, "lan0", seconds=24, renew_s=3, rebind_s=18)
        probe = LinksProbe(node)
        old = probe.usable()["addresses"]
        server.stop()
        dhcp_servers.dnsmasq(router, "lan0", "option:router,192.0.2.1", pool=("192.0.2.200", "192.0.2.210"))
        new = probe.usable(lambda event: event["addresses"] != old)
        assert re.fullmatch(r"192\.0\.2\.2\d\d/24", new["addresses"][0]), new
        assert address_of(node)["local"] + "/24" == new["addresses"][0]
        assert routes_of(node)["default"]["prefsrc"] == address_of(node)["local"]
        assert any("DHCP server 192.0.2.1 refused" in line for line in probe.process.lines)


def test_a_silent_network_is_told_in_words():
    """The engineer at the console would see a time-out and not know what was waited for."""
    with Net() as net:
        node, router = lan(net)
        wire = router.capture("lan0")
        probe = LinksProbe(node)
        told = probe.trouble("asked 3 times")
        assert told["why"] == "eth0: no DHCP answer, asked 3 times, and no IPv6 address", told
        questions = dhcp(wire.stop())
        assert len(questions) == 3, questions
        for question in questions:
            assert (question.source, question.destination) == ("0.0.0.0", "255.255.255.255"), question
            assert bytes.fromhex("3d07" + CLIENT_ID) in question.payload, question
        # A server that comes late is still taken.
        dhcp_servers.dnsmasq(router, "lan0")
        probe.usable()
        assert probe.events()[-1] == {"event": "trouble", "why": ""} or probe.trouble("") == {
            "event": "trouble", "why": ""}


def test_a_socket_that_the_kernel_refuses_is_asked_for_again():
    """One bad moment, and the node would stay without an address for the whole boot."""
    with Net() as net:
        node, router = lan(net)
        dhcp_servers.dnsmasq(router, "lan0", "option:router,192.0.2.1")
        router.run("ip", "link", "set", "lan0", "down")
        probe = LinksProbe(node)
        probe.trouble("no carrier")
        with probe.without_descriptors():
            router.run("ip", "link", "set", "lan0", "up")
            probe.trouble("eth0: cannot open a packet socket: Too many open files")
        assert "dhcp" in probe.usable()


def test_another_address_of_the_same_network_takes_the_place_of_the_first():
    """The kernel takes a network's later addresses away with its first: the node would be left with none."""
    with Net() as net:
        node, router = lan(net)
        server = dhcp_servers.dnsmasq(router, "lan0", "option:router,192.0.2.1", pool=("192.0.2.50", "192.0.2.50"))
        probe = LinksProbe(node)
        assert probe.usable()["addresses"] == ["192.0.2.50/24"]
        router.run("ip", "link", "set", "lan0", "down")
        probe.wait_for("lost")
        server.stop()
        dhcp_servers.dnsmasq(router, "lan0", "option:router,192.0.2.1", pool=("192.0.2.60", "192.0.2.60"))
        router.run("ip", "link", "set", "lan0", "up")
        link = probe.usable()
        assert link["addresses"] == ["192.0.2.60/24"] and link["gateways"] == ["192.0.2.1"], link
        assert address_of(node)["local"] == "192.0.2.60"


def test_another_mac_has_a_lease_of_its_own():
    """A bond takes its first port's MAC: the real root's client could not go on with a lease of the one before."""
    with Net() as net:
        node, router = lan(net)
        dhcp_servers.dnsmasq(router, "lan0", "option:router,192.0.2.1")
        wire = router.capture("lan0")
        probe = LinksProbe(node)
        before = probe.usable()
        assert before["dhcp"]["client_id"] == CLIENT_ID, before
        node.run("ip", "link", "set", "eth0", "address", OTHER_MAC)
        link = probe.usable(lambda event: event["dhcp"]["client_id"] == "01" + OTHER_MAC.replace(":", ""))
        assert link["mac"] == OTHER_MAC and link["addresses"] != before["addresses"], link
        assert address_of(node)["local"] == link["dhcp"]["address"].split("/")[0], link
        asked = [packet.payload[28:34].hex(":") for packet in dhcp(wire.stop()) if message_type(packet) == DISCOVER]
        assert set(asked) == {NODE_MAC, OTHER_MAC}, asked


def test_what_was_configured_stays():
    """The tunnel would lose its underlay at the moment of the pivot."""
    with Net() as net:
        node, router = lan(net)
        dhcp_servers.dnsmasq(router, "lan0", "option:router,192.0.2.1")
        probe = LinksProbe(node)
        probe.usable()
        before = address_of(node)["local"], routes_of(node)["default"]["gateway"]
        probe.end()
        assert (address_of(node)["local"], routes_of(node)["default"]["gateway"]) == before
        assert node.ip("link", "show", "dev", "eth0")[0]["operstate"] == "UP"
        # Again, as after a boot that failed: the same address from the same server.
        assert LinksProbe(node).usable()["addresses"] == [before[0] + "/24"]


def test_a_single_address_with_a_router_outside_of_it():
    """Cloud networks give a /32: the node would have no default route there."""
    with Net() as net:
        node, router = lan(net)
        dhcp_servers.dnsmasq(router, "lan0", "--dhcp-option-force=option:netmask,255.255.255.255",
                             "option:router,192.0.2.1")
        link = LinksProbe(node).usable()
        assert link["addresses"][0].endswith("/32") and link["gateways"] == ["192.0.2.1"], link
        node.run("ping", "-c", "1", "-W", "5", "192.0.2.1")
