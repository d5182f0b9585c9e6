"""os/links where routers advertise: addresses by the kernel's SLAAC, resolvers by RDNSS (RFC 8106).

    node [eth0]────────────[lan0] router: radvd, 2001:db8:1::/64
"""

import signal

from lib import dhcp_servers
from lib.links_probe import LinksProbe
from lib.netns import Net

TIME_LIMIT_S = 120
TAKES_S = 40
RDNSS = "RDNSS 2001:db8:1::53 2001:db8:1::54 { AdvRDNSSLifetime 600; };"
RESOLVERS = ["2001:db8:1::53", "2001:db8:1::54"]


def lan(net):
    node, router = net.namespace("node"), net.namespace("router")
    net.wire(node, "eth0", router, "lan0")
    # Not to wait for duplicate detection on the router's side as well.
    router.run("ip", "address", "add", "fe80::1/64", "dev", "lan0", "nodad")
    return node, router


def whole(event):
    return event["resolvers"] and any(address.startswith("2001:db8:1:") for address in event["addresses"])


def test_an_ipv6_only_network_gives_address_router_and_resolvers():
    """A node in an IPv6-only lab would never find its gateway."""
    with Net() as net:
        node, router = lan(net)
        dhcp_servers.radvd(router, "lan0", RDNSS, "AdvLinkMTU 1400;")
        probe = LinksProbe(node)
        link = probe.usable(whole)
        assert link["resolvers"] == RESOLVERS, link
        assert [address.split("/")[1] for address in link["addresses"]] == ["64"], link
        assert all(gateway.startswith("fe80::") for gateway in link["gateways"]) and link["gateways"], link
        assert "dhcp" not in link, link
        # Told when it could be used, not while it was checked for duplicates.
        tentative = [item for item in node.ip("-6", "address", "show", "dev", "eth0", "tentative") if item]
        assert not tentative, tentative
        assert probe.end()["peak_rss_kib"] <= 4096


def test_a_link_that_was_up_before_still_gives_its_resolvers():
    """The kernel tells resolvers once: whoever listens later, after dracut or udev, would know none."""
    with Net() as net:
        node, router = lan(net)
        dhcp_servers.radvd(router, "lan0", RDNSS)
        node.run("ip", "link", "set", "eth0", "up")
        node.until(lambda: any(node.ip("-6", "address", "show", "dev", "eth0", "scope", "global", "-tentative")))
        link = LinksProbe(node).usable(whole)
        assert link["resolvers"] == RESOLVERS, link


def test_a_lost_advertisement_is_asked_for_again():
    """After a burst of events the node would never learn its resolvers: the kernel tells them once."""
    with Net() as net:
        node, router = lan(net)
        probe = LinksProbe(node)
        probe.trouble("no DHCP answer")
        with probe.losing_events():
            dhcp_servers.radvd(router, "lan0", RDNSS)
            node.until(lambda: any(node.ip("-6", "address", "show", "dev", "eth0", "scope", "global", "-tentative")))
        assert probe.usable(whole)["resolvers"] == RESOLVERS


def test_both_families_are_told_of_one_link():
    """The resolvers of one family would be thrown away, and with them half of the ways to the gateway."""
    with Net() as net:
        node, router = lan(net)
        router.run("ip", "address", "add", "192.0.2.1/24", "dev", "lan0")
        dhcp_servers.radvd(router, "lan0", RDNSS)
        dhcp_servers.dnsmasq(router, "lan0", "option:router,192.0.2.1", "option:dns-server,192.0.2.53")
        probe = LinksProbe(node)
        first = probe.usable()
        assert first["addresses"][0].startswith("192.0.2."), "DHCP is done before duplicate detection"
        link = probe.usable(lambda event: len(event["addresses"]) == 2 and len(event["resolvers"]) == 3)
        assert link["resolvers"] == ["192.0.2.53", *RESOLVERS], link
        assert link["addresses"][0].startswith("192.0.2.") and link["gateways"][0] == "192.0.2.1", link
        assert len(link["gateways"]) == 2, link


def test_withdrawn_resolvers_are_forgotten():
    """Each look-up would wait for a resolver that its router has taken back."""
    with Net() as net:
        node, router = lan(net)
        server = dhcp_servers.radvd(router, "lan0", RDNSS.replace("{", "{ FlushRDNSS on;"))
        probe = LinksProbe(node)
        probe.usable(whole)
        server.stop()
        probe.usable(lambda event: event["resolvers"] == [])


def test_resolvers_expire():
    """A router that died without a word: its resolvers would be asked for ever."""
    with Net() as net:
        node, router = lan(net)
        server = dhcp_servers.radvd(router, "lan0", "RDNSS 2001:db8:1::53 { AdvRDNSSLifetime 6; };",
                                    every_s=(3, 4))
        probe = LinksProbe(node)
        probe.usable(whole)
        server.signal(signal.SIGKILL)
        probe.usable(lambda event: event["resolvers"] == [])


def preferred_routes(node):
    """Those that are put beside the kernel's own."""
    return [route for route in node.ip("-6", "route", "show", "default") if route["metric"] < 1024]


def test_a_preferred_router_is_followed():
    """The tunnel would lose its way when the first word of a router is over, or keep one that is closed."""
    short = "AdvDefaultLifetime 10;"
    with Net() as net:
        node, router = lan(net)
        # With a lease nobody looks at the link by chance; nor does the kernel tell of a word without a prefix.
        router.run("ip", "address", "add", "192.0.2.1/24", "dev", "lan0")
        dhcp_servers.dnsmasq(router, "lan0")
        server = dhcp_servers.radvd(router, "lan0", short, prefix=None, every_s=(3, 4))
        probe = LinksProbe(node)
        link = probe.usable(lambda event: any(":" in gateway for gateway in event["gateways"]))
        probe.prefer(link["ifindex"])
        route, = preferred_routes(node)
        assert route["gateway"] in link["gateways"] and route["metric"] == 512 and route["expires"] <= 11, route
        # It renews its word, of which the kernel tells nobody.
        dhcp_servers.radvd_file(router, "lan0", "AdvDefaultLifetime 1800;", prefix=None, every_s=(3, 4))
        server.signal(signal.SIGHUP)
        node.until(lambda: [route for route in preferred_routes(node) if route["expires"] > 1000])
        # It takes it back.
        dhcp_servers.radvd_file(router, "lan0", "AdvDefaultLifetime 0;", prefix=None, every_s=(3, 4))
        server.signal(signal.SIGHUP)
        node.until(lambda: not preferred_routes(node))


def test_a_kernel_without_ipv6_does_not_hold_ipv4_up():
    """Some images switch IPv6 off."""
    with Net() as net:
        node, router = lan(net)
        node.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
        router.run("ip", "address", "add", "192.0.2.1/24", "dev", "lan0")
        dhcp_servers.dnsmasq(router, "lan0")
        assert LinksProbe(node).usable()["addresses"][0].startswith("192.0.2.")
