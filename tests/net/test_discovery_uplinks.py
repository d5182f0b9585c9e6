"""A node with two cables of which the better one, by the kernel's routes, leads nowhere.

    node [eth0]──────[lan0 198.51.100.1] stub: DHCP, a router, and nothing behind it
         [eth1]──────[lan0 192.0.2.1] router, with the rest of the world on its loopback (lib.discovery)

WireGuard goes by the routes, so they must lead by the other link before it begins.
"""

from lib import dhcp_servers
from lib.discovery import World

TIME_LIMIT_S = 240
G1, PUBLIC, DHCP = "203.0.113.5", "9.9.9.9", "192.0.2.53"
V6 = "2001:db8:5::5"
ENROLLED = r"\[6/9\] enrol: "
PREFERRED = "was reached by eth1 and not as the routes lead"


def default_metrics(node, *family):
    return {route["dev"]: route["metric"] for route in node.ip(*family, "route", "show", "default")}


def way_to(node, address):
    return node.ip("route", "get", address)[0]["dev"]


def serve_dhcp(world, *, dead_router="198.51.100.1"):
    dhcp_servers.dnsmasq(world.stub, "lan0", f"option:router,{dead_router}", pool=("198.51.100.50", "198.51.100.99"))
    dhcp_servers.dnsmasq(world.router, "lan0", "option:router,192.0.2.1", f"option:dns-server,{DHCP}")


def boot_by_the_dead_link(world, *lines, **settings):
    """A boot that has only the dead link at first; the other cable is plugged in when it has begun to search."""
    world.router.run("ip", "link", "set", "lan0", "down")
    boot = world.boot(*lines, network=["Mode=auto"], **settings)
    boot.wait_for(r"\[3/9\] links: eth0")
    world.router.run("ip", "link", "set", "lan0", "up")
    return boot


def comes_up(world, *lines, address=G1, **settings):
    """Boots until the node is enrolled; by then the routes lead by the link that works."""
    boot = boot_by_the_dead_link(world, *lines, **settings)
    boot.wait_for(ENROLLED)
    assert way_to(world.node, address) == "eth1"
    return boot


def test_a_cached_gateway_beyond_the_second_link():
    """A machine whose first card hangs on a router with a dead line would stay out for ever."""
    with World(stub=True) as world:
        serve_dhcp(world)
        invite = world.gateway(G1).invite()
        boot = boot_by_the_dead_link(world, "Sources=cached", invite=invite, gateways=[G1])
        boot.wait_for(PREFERRED)
        boot.wait_for(ENROLLED)
        assert way_to(world.node, G1) == "eth1"
        # Each address and each route is still there; they have only changed places.
        assert default_metrics(world.node) == {"eth1": 1024, "eth0": 1025}


def test_a_router_that_is_not_there():
    """The DHCP server names a router that is switched off: the same, one hop nearer."""
    with World(stub=True) as world:
        serve_dhcp(world, dead_router="198.51.100.254")
        invite = world.gateway(G1).invite()
        comes_up(world, "Sources=cached", invite=invite, gateways=[G1])


def test_a_public_resolver_beyond_the_second_link():
    """An unprovisioned machine knows no address at all: its questions must find the way too."""
    with World(stub=True) as world:
        serve_dhcp(world)
        world.resolver(PUBLIC, G1)
        invite = world.gateway(G1).invite()
        comes_up(world, "Sources=public-dns", f"PublicResolvers={PUBLIC}", invite=invite)


def test_a_resolver_of_the_second_link():
    """The network's own resolver is asked by its link; whom it names must be called by it too."""
    with World(stub=True) as world:
        serve_dhcp(world)
        world.resolver(DHCP, G1)
        invite = world.gateway(G1).invite()
        comes_up(world, "Sources=dhcp-dns", invite=invite)


def test_ipv6_routers_on_both_links():
    """The kernel gives the routes of all routers the same metric, and takes the one or the other."""
    with World(stub=True) as world:
        dhcp_servers.radvd(world.stub, "lan0", prefix="2001:db8:66::/64")
        invite = world.gateway(V6).invite()
        boot = world.boot("Sources=cached", network=["Mode=auto"], invite=invite, gateways=[f"[{V6}]:443"])
        boot.wait_for(r"\[3/9\] links: eth0")
        dhcp_servers.radvd(world.router, "lan0", prefix="2001:db8::/64")
        boot.wait_for(ENROLLED)
        assert way_to(world.node, V6) == "eth1"


def test_two_links_that_work_are_used_as_the_routes_lead():
    """A working network must not see that there is another: no packet more than before."""
    with World(stub=True, stub_works=True) as world:
        serve_dhcp(world)
        invite = world.gateway(G1).invite()
        wire = world.router.capture("lan0")
        boot = boot_by_the_dead_link(world, "Sources=cached", invite=invite, gateways=[G1])
        boot.wait_for(ENROLLED)
        assert way_to(world.node, G1) == "eth0"
        assert not [packet for packet in wire.stop() if G1 in (packet.source, packet.destination)]
        assert default_metrics(world.node)["eth0"] == 1024


def test_adopted_routes_are_left_alone():
    """What the operator's network manager has set up would be changed behind its back."""
    with World(stub=True) as world:
        node = world.node
        for name, address, router, metric in (("eth0", "198.51.100.10/24", "198.51.100.1", 100),
                                              ("eth1", "192.0.2.10/24", "192.0.2.1", 200)):
            node.run("ip", "link", "set", name, "up")
            node.run("ip", "address", "add", address, "dev", name)
            node.run("ip", "route", "add", "default", "via", router, "dev", name, "metric", metric)
        invite = world.gateway(G1).invite()
        before = node.run("ip", "route", "show")
        boot = world.boot("Sources=cached", network=["Mode=adopt"], invite=invite, gateways=[G1])
        boot.wait_for("WireGuard follows them")
        boot.wait_for(ENROLLED)
        assert node.run("ip", "route", "show") == before
