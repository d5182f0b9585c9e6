"""os/links while links come, go and change: what it does about it, and what it leaves alone.

    node [eth0]────────────[lan0] router: DHCP, 192.0.2.0/24
         [eth1]────────────[lan1]         where a test wants a second
"""

from lib import dhcp_servers
from lib.links_probe import LinksProbe
from lib.netns import Net

TIME_LIMIT_S = 120
NO_INTERFACE = "no network interface: is the driver in the image?"


def connect(net, node, router, number=0, *, carrier=True, serve=True):
    """A cable number `number` to the router, with a network of its own and a server in it."""
    net.wire(node, f"eth{number}", router, f"lan{number}", b_up=carrier)
    if serve:
        # The address stays while the link is down, so the server can start before the carrier.
        router.run("ip", "address", "add", f"192.0.{2 + number}.1/24", "dev", f"lan{number}")
        return dhcp_servers.dnsmasq(router, f"lan{number}", f"option:router,192.0.{2 + number}.1",
                                    pool=(f"192.0.{2 + number}.50", f"192.0.{2 + number}.99"))
    return None


def state_of(node, interface):
    return node.ip("link", "show", "dev", interface)[0]


def is_up(node, interface):
    return "UP" in state_of(node, interface)["flags"]


def addresses_of(node, interface):
    """Those that are not the kernel's own."""
    return [item["local"] for item in node.ip("address", "show", "dev", interface)[0]["addr_info"]
            if item["scope"] == "global"]


def test_no_interface_is_told_at_once():
    """An image without the driver would look like a network without a server."""
    with Net() as net:
        probe = LinksProbe(net.namespace("node"))
        assert probe.trouble("")["why"] == NO_INTERFACE


def test_an_interface_that_appears_late_is_used():
    """Driver modules load while the boot runs."""
    with Net() as net:
        node, router = net.namespace("node"), net.namespace("router")
        probe = LinksProbe(node)
        probe.trouble(NO_INTERFACE)
        connect(net, node, router)
        assert probe.usable()["name"] == "eth0"


def test_a_carrier_that_comes_late_is_waited_for():
    """Switches take half a minute to forward; the boot must go on the moment they do."""
    with Net() as net:
        node, router = net.namespace("node"), net.namespace("router")
        connect(net, node, router, carrier=False)
        wire = router.capture("lan0")
        probe = LinksProbe(node)
        assert probe.trouble("no carrier")["why"] == "eth0: no carrier"
        assert is_up(node, "eth0")
        assert wire.packets() == []
        router.run("ip", "link", "set", "lan0", "up")
        assert probe.usable()["name"] == "eth0"


def test_a_link_that_is_taken_down_comes_up_each_time():
    """A driver that resets its card once in a while: at some time the node would give it up for good."""
    with Net() as net:
        node, router = net.namespace("node"), net.namespace("router")
        connect(net, node, router, serve=False)
        LinksProbe(node)
        for _ in range(9):
            node.until(lambda: is_up(node, "eth0"))
            node.run("ip", "link", "set", "eth0", "down")
        node.until(lambda: is_up(node, "eth0"))


def test_an_unplugged_link_holds_nothing_up():
    """A second, unplugged network card would cost the boot two minutes."""
    with Net() as net:
        node, router = net.namespace("node"), net.namespace("router")
        connect(net, node, router, 0, carrier=False, serve=False)
        connect(net, node, router, 1)
        probe = LinksProbe(node)
        assert probe.usable()["name"] == "eth1"
        assert probe.trouble("eth0: no carrier")["why"] == "eth0: no carrier"


def test_a_later_link_does_not_take_the_traffic():
    """The connection that is about to authenticate would leave by another way in its middle."""
    with Net() as net:
        node, router = net.namespace("node"), net.namespace("router")
        connect(net, node, router, 1)
        probe = LinksProbe(node)
        assert probe.usable()["name"] == "eth1"
        connect(net, node, router, 0)
        assert probe.usable()["name"] == "eth0"
        metrics = {route["dev"]: route["metric"] for route in node.ip("route", "show", "default")}
        assert metrics == {"eth1": 1024, "eth0": 1025}, metrics
        assert node.ip("route", "get", "203.0.113.1")[0]["dev"] == "eth1"


def test_what_a_link_without_a_carrier_carried_leaves_by_the_next():
    """The first network card unplugged: its default route is the better one, and the second would be of no use."""
    with Net() as net:
        node = net.namespace("node")
        routers = [net.namespace(f"router{number}") for number in (0, 1)]
        connect(net, node, routers[0], 0)
        probe = LinksProbe(node)
        assert probe.usable()["name"] == "eth0"
        connect(net, node, routers[1], 1)
        assert probe.usable()["name"] == "eth1"
        assert node.ip("route", "get", "203.0.113.1")[0]["dev"] == "eth0"
        routers[0].run("ip", "link", "set", "lan0", "down")
        probe.wait_for("lost")
        # Once the kernel has told its own routes that the carrier is gone, a moment after it told us.
        node.until(lambda: node.ip("route", "get", "203.0.113.1")[0]["dev"] == "eth1")
        # With the carrier it has the better way again.
        routers[0].run("ip", "link", "set", "lan0", "up")
        assert probe.usable()["name"] == "eth0"
        node.until(lambda: node.ip("route", "get", "203.0.113.1")[0]["dev"] == "eth0")


def test_a_cable_that_moves_to_another_network_gets_another_address():
    """The old address would be used on a network that knows nothing of it."""
    with Net() as net:
        node, router = net.namespace("node"), net.namespace("router")
        server = connect(net, node, router)
        probe = LinksProbe(node)
        old = probe.usable()["addresses"]
        router.run("ip", "link", "set", "lan0", "down")
        lost = probe.wait_for("lost")
        assert lost["why"] == "no carrier", lost
        server.stop()
        router.run("ip", "address", "flush", "dev", "lan0")
        router.run("ip", "address", "add", "198.51.100.1/24", "dev", "lan0")
        dhcp_servers.dnsmasq(router, "lan0", pool=("198.51.100.50", "198.51.100.99"))
        router.run("ip", "link", "set", "lan0", "up")
        new = probe.usable()
        assert new["addresses"][0].startswith("198.51.100."), new
        assert addresses_of(node, "eth0") == [new["addresses"][0].split("/")[0]], (old, new)
        assert new["gateways"] == ["198.51.100.1"], new


def test_a_carrier_that_flaps_ends_in_a_lease():
    """A bad cable, or a switch that starts: the node would hold to a state that is long over."""
    with Net() as net:
        node, router = net.namespace("node"), net.namespace("router")
        connect(net, node, router)
        probe = LinksProbe(node)
        first = probe.usable()
        for _ in range(10):
            router.run("ip", "link", "set", "lan0", "down")
            router.run("ip", "link", "set", "lan0", "up")
        # Each coming of the carrier is another question; the last answer counts.
        node.until(lambda: "LOWER_UP" in state_of(node, "eth0")["flags"])
        last = probe.usable(lambda event: event["dhcp"]["acquired_ms"] > first["dhcp"]["acquired_ms"])
        assert last["addresses"] == first["addresses"], (first, last)
        assert addresses_of(node, "eth0") == [last["addresses"][0].split("/")[0]]
        node.run("ping", "-c", "1", "-W", "5", "192.0.2.1")
        probe.end()


def test_the_one_of_several_links_that_works_is_told_at_once():
    """A server with eight network cards and one cable: the boot would go through them one after the other."""
    with Net() as net:
        node, router = net.namespace("node"), net.namespace("router")
        for number in range(8):
            connect(net, node, router, number, carrier=number in (2, 5), serve=number == 5)
        probe = LinksProbe(node, "Interfaces=eth[0-6]")
        link = probe.usable()
        assert link["name"] == "eth5", link
        # Its default route is the only one, and nothing is configured where nobody answers.
        assert [route["dev"] for route in node.ip("route", "show", "default")] == ["eth5"]
        for number in (0, 1, 2, 3, 4, 6, 7):
            assert addresses_of(node, f"eth{number}") == [], number
        assert not is_up(node, "eth7")


def test_a_link_that_is_gone_is_told():
    """A USB adapter pulled in the middle of the boot."""
    with Net() as net:
        node, router = net.namespace("node"), net.namespace("router")
        connect(net, node, router)
        probe = LinksProbe(node)
        link = probe.usable()
        node.run("ip", "link", "delete", "eth0")
        assert probe.wait_for("lost") == {"event": "lost", "ifindex": link["ifindex"], "why": "it is gone"}
        probe.trouble(NO_INTERFACE)


def test_what_is_not_ours_is_left_alone():
    """A tunnel, a bridge's port or a management network that the operator has excluded would be taken over."""
    with Net() as net:
        node, router = net.namespace("node"), net.namespace("router")
        connect(net, node, router, 0)
        for number in (1, 2):
            connect(net, node, router, number, serve=False)
        node.run("ip", "link", "add", "vxlan0", "type", "vxlan", "id", "1", "dstport", "4789")
        node.run("ip", "tuntap", "add", "tap0", "mode", "tap")
        node.run("ip", "link", "add", "br0", "type", "bridge")
        node.run("ip", "link", "set", "eth1", "master", "br0")
        before = {name: state_of(node, name) for name in ("lo", "eth1", "eth2", "vxlan0", "tap0", "br0")}
        LinksProbe(node, "Interfaces=eth0 eth1 vxlan* tap*").usable()
        for name, state in before.items():
            assert state_of(node, name) == state, name
            assert not is_up(node, name) or name == "lo", name


def test_excluded_interfaces_are_named():
    """The operator would look for a driver instead of at his settings."""
    with Net() as net:
        node, router = net.namespace("node"), net.namespace("router")
        connect(net, node, router, serve=False)
        probe = LinksProbe(node, "Interfaces=en*")
        assert probe.trouble("may be used")["why"] == (
            "no network interface that may be used: eth0 is not among Interfaces=")
        # Renamed as udev does it, it is one of ours.
        node.run("ip", "link", "set", "eth0", "name", "enp0s1")
        probe.trouble("enp0s1: no DHCP answer")


def test_lost_events_are_made_good():
    """After a burst of events the node would wait for ever for one that the kernel has dropped."""
    with Net() as net:
        node, router = net.namespace("node"), net.namespace("router")
        connect(net, node, router, carrier=False)
        probe = LinksProbe(node)
        probe.trouble("eth0: no carrier")
        with probe.losing_events():
            router.run("ip", "link", "set", "lan0", "up")
            node.until(lambda: "LOWER_UP" in state_of(node, "eth0")["flags"])
        assert probe.usable()["name"] == "eth0"


def test_static_settings_are_put_on_the_link_with_a_carrier():
    """A network without DHCP."""
    with Net() as net:
        node, router = net.namespace("node"), net.namespace("router")
        connect(net, node, router, 0, carrier=False, serve=False)
        connect(net, node, router, 1, serve=False)
        router.run("ip", "address", "add", "192.0.2.1/24", "dev", "lan1")
        wire = router.capture("lan1")
        probe = LinksProbe(node, "Mode=static", "Address=192.0.2.7/24 2001:db8:1::7/64",
                           "Gateway=192.0.2.1 fe80::1", "DNS=192.0.2.53")
        # IPv4 works at once, IPv6 when its address has been checked for duplicates.
        link = probe.usable(lambda event: len(event["addresses"]) == 2)
        assert link["name"] == "eth1" and link["addresses"] == ["192.0.2.7/24", "2001:db8:1::7/64"], link
        assert link["gateways"] == ["192.0.2.1", "fe80::1"] and link["resolvers"] == ["192.0.2.53"], link
        assert "dhcp" not in link
        assert addresses_of(node, "eth0") == []
        node.run("ping", "-c", "1", "-W", "5", "192.0.2.1")
        assert not [packet for packet in wire.stop() if packet.kind == "dhcp"]
        # They do not move to a link that comes later.
        router.run("ip", "link", "set", "lan0", "up")
        node.until(lambda: "LOWER_UP" in state_of(node, "eth0")["flags"])
        assert "with the static addresses" in probe.trouble("eth0: not the link")["why"]
        assert addresses_of(node, "eth0") == []


def test_static_settings_come_back_with_their_link():
    """A driver that resets its card: the kernel drops IPv6 addresses and all routes, and the node would be cut off."""
    with Net() as net:
        node, router = net.namespace("node"), net.namespace("router")
        connect(net, node, router, serve=False)
        probe = LinksProbe(node, "Mode=static", "Address=192.0.2.7/24 2001:db8:1::7/64",
                           "Gateway=192.0.2.1 fe80::1")
        probe.usable(lambda event: len(event["addresses"]) == 2)
        node.run("ip", "link", "set", "eth0", "down")
        probe.wait_for("lost")
        again = probe.usable(lambda event: len(event["addresses"]) == 2)
        assert again["addresses"] == ["192.0.2.7/24", "2001:db8:1::7/64"], again
        assert again["gateways"] == ["192.0.2.1", "fe80::1"], again
