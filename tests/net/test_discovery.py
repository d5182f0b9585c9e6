"""How a node finds its gateway, by `fortros-preboot probe` against real servers: what is raced, what wins,
what is reported of the rest, and what is never sent. Times are compared with each other, not with a clock.
"""

import hashlib
import sqlite3

from lib import dhcp_servers
from lib.discovery import BOTH, STATIC, STATIC6, World, is_v6, rogue_org

TIME_LIMIT_S = 240
TAKES_S = 130
G1, G2, G3 = "203.0.113.5", "203.0.113.6", "203.0.113.7"
DEAD = "203.0.113.66"  # in the black hole
PUBLIC, DHCP = "9.9.9.9", "192.0.2.53"
RACE = ("PublicResolvers=" + PUBLIC,)
NO_LINK, NO_GATEWAY, UNTRUSTED, POLICY_LOST = 6, 7, 8, 16
KEY = b"FORTKEY\x01" + bytes([64]) * 32
KEY_RECORD = KEY + hashlib.sha256(KEY).digest()[:8]


def endpoint(address, port=443):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def with_dns(*servers):
    return (*STATIC, "DNS=" + " ".join(servers))


# --- cached ----------------------------------------------------------------------------------------

def test_cached_works_with_no_dns_in_the_world():
    """A site whose DNS is down would lose its machines at the next power cut."""
    with World() as world:
        world.gateway(G1)
        report = world.probe(*RACE, "LookupTimeout=1s", gateways=[G1])
        assert report.winner == ("cached", endpoint(G1))
        assert report.status == 0


def test_a_blackholed_cached_address_costs_its_head_start():
    """Every boot would wait for a TCP time-out when a gateway has moved."""
    with World() as world:
        world.gateway(G1)
        world.resolver(PUBLIC, G1)
        report = world.probe(*RACE, "HeadStart=300ms", gateways=[DEAD])
        assert report.winner == ("public-dns", endpoint(G1))
        dead, asked = report.attempt(endpoint(DEAD)), report.lookups("public-dns")[0]["asked_us"]
        assert asked - dead["began_us"] >= 300_000
        assert report.attempt(endpoint(G1))["ended_us"] < dead["ended_us"]
        assert report.error(endpoint(DEAD))[0] == "timeout"


def test_a_refusing_cached_address_hands_over_at_once():
    """The head start would be waited for although there is nothing to wait for."""
    with World() as world:
        world.gateway(G1)
        world.address(G2)
        world.resolver(PUBLIC, G1)
        report = world.probe(*RACE, "HeadStart=15s", gateways=[G2])
        assert report.winner == ("public-dns", endpoint(G1))
        refused = report.attempt(endpoint(G2))
        assert report.error(endpoint(G2))[0] == "unreachable"
        assert report.lookups("public-dns")[0]["asked_us"] - refused["ended_us"] < 15_000_000


# --- resolvers -------------------------------------------------------------------------------------

def test_public_dns_is_dead_and_dhcp_dns_is_alive():
    """A network that lets no foreign DNS through would keep its nodes out."""
    with World() as world:
        world.gateway(G1)
        world.resolver(DHCP, G1)
        report = world.probe(*RACE, "Sources=public-dns dhcp-dns", network=with_dns(DHCP))
        assert report.winner == ("dhcp-dns", endpoint(G1))
        dead, = report.lookups("public-dns")
        assert report.attempt(endpoint(G1))["ended_us"] < dead["ended_us"]
        assert dead["error"]["code"] == "timeout"


def test_the_second_public_resolver_is_asked_while_the_first_is_silent():
    """One resolver that is down would cost every boot its whole time-out."""
    with World() as world:
        world.gateway(G1)
        world.resolver(PUBLIC, G1)
        report = world.probe("PublicResolvers=9.9.9.10 " + PUBLIC, "Sources=public-dns")
        assert report.winner == ("public-dns", endpoint(G1))
        silent, answered = report.lookups("public-dns")
        assert answered["ended_us"] < silent["ended_us"]


def test_a_lying_resolver_beside_an_honest_one():
    """DNS is discovery, not trust: the lie must be reported, and must not keep the node out."""
    with World() as world:
        world.gateway(G1)
        world.gateway(G2, org=rogue_org())
        world.resolver(PUBLIC, G2)
        world.resolver(DHCP, G1)
        report = world.probe(*RACE, "Sources=public-dns dhcp-dns", network=with_dns(DHCP))
        assert report.winner == ("dhcp-dns", endpoint(G1))
        assert report.error(endpoint(G2))[0] == "untrusted"


def test_only_a_rogue_is_there():
    """A rogue would be taken for the gateway, or an operator would look for a cable."""
    with World() as world:
        world.gateway(G2, org=rogue_org())
        world.resolver(PUBLIC, G2)
        report = world.probe(*RACE, "Sources=public-dns")
        assert report.winner is None
        assert report.status == UNTRUSTED


def test_a_name_that_does_not_exist():
    """The next source would be kept waiting by an answer that is final."""
    with World() as world:
        world.gateway(G1)
        world.resolver(PUBLIC)
        world.resolver(DHCP, G1)
        report = world.probe(*RACE, "HeadStart=15s", "Sources=public-dns dhcp-dns", network=with_dns(DHCP))
        assert report.winner == ("dhcp-dns", endpoint(G1))
        said, = report.lookups("public-dns")
        assert said["error"]["code"] == "name-not-resolved"
        assert report.lookups("dhcp-dns")[0]["asked_us"] - said["ended_us"] < 15_000_000


def test_service_records_name_gateways_and_ports():
    """An org that has moved its gateway to another port would lose its nodes."""
    with World() as world:
        world.gateway(G1, port=8443)
        world.resolver(PUBLIC, DEAD, srv=["a.example.org,8443,10"], options=[f"--host-record=a.example.org,{G1}"])
        report = world.probe(*RACE, "Sources=public-dns")
        assert report.winner == ("public-dns", endpoint(G1, 8443))


def test_sixty_addresses():
    """A list without end would keep a node busy until its budget ends."""
    with World() as world:
        world.gateway(G1)
        many = [f"198.51.100.{i}" for i in range(1, 60)]
        world.router.run("ip", "route", "add", "unreachable", "198.51.100.0/24")
        world.resolver(PUBLIC, *many)
        world.resolver(DHCP, G1)
        report = world.probe(*RACE, "Sources=public-dns dhcp-dns", network=with_dns(DHCP))
        assert report.winner == ("dhcp-dns", endpoint(G1))
        assert len(report.tried()) <= 17


# --- families --------------------------------------------------------------------------------------

V6 = "2001:db8:5::5"
DEAD6 = "2001:db8:5::66"
PUBLIC6 = "2001:db8:9::9"


def test_ipv6_only():
    """A lab without IPv4 would have no nodes."""
    with World() as world:
        world.gateway(V6)
        world.resolver(PUBLIC6, V6)
        report = world.probe(f"PublicResolvers={PUBLIC} {PUBLIC6}", "Sources=public-dns", network=STATIC6)
        assert report.winner == ("public-dns", endpoint(V6))


def test_ipv4_only():
    """The same the other way round."""
    with World() as world:
        world.gateway(G1)
        world.resolver(PUBLIC, V6, G1)
        report = world.probe(f"PublicResolvers={PUBLIC6} {PUBLIC}", "Sources=public-dns")
        assert report.winner == ("public-dns", endpoint(G1))


def test_ipv6_is_blackholed():
    """Each boot would pay for an IPv6 that is only promised."""
    with World() as world:
        world.gateway(G1)
        world.resolver(PUBLIC, DEAD6, G1)
        report = world.probe(f"PublicResolvers={PUBLIC6} {PUBLIC}", "Sources=public-dns", network=BOTH)
        assert report.winner == ("public-dns", endpoint(G1))
        dead = report.attempt(endpoint(DEAD6))
        assert is_v6(dead["endpoint"]) and report.attempt(endpoint(G1))["ended_us"] < dead["ended_us"]


# --- gateways --------------------------------------------------------------------------------------

def test_three_gateways_of_which_one_is_dead_and_one_is_somebody_elses():
    """A node would be kept out by the first address that does not work."""
    with World() as world:
        world.gateway(G1, org=rogue_org())
        world.gateway(G3)
        world.resolver(PUBLIC, DEAD, G1, G3)
        report = world.probe(*RACE, "Sources=public-dns")
        assert report.winner == ("public-dns", endpoint(G3))
        assert report.error(endpoint(G1))[0] == "untrusted"


def test_a_captive_portal():
    """In a hotel every address answers with a certificate that is sound, and somebody else's."""
    with World() as world:
        world.portal(G1)
        world.gateway(G2)
        world.resolver(PUBLIC, G1)
        world.resolver(DHCP, G2)
        report = world.probe(*RACE, "Sources=public-dns dhcp-dns", network=with_dns(DHCP))
        assert report.winner == ("dhcp-dns", endpoint(G2))
        assert report.error(endpoint(G1))[0] == "untrusted"


# --- whole boots, as far as enrolment --------------------------------------------------------------

ENROLLED = r"\[6/9\] enrol: "


def test_one_gateway_is_dead_one_is_busy_and_one_is_good():
    """A gateway that says "come back later" would keep a node from one that could serve it now."""
    with World() as world:
        busy, good = world.gateway(G1), world.gateway(G2)
        invite = good.invite()
        lock = sqlite3.connect(busy.home / "state/gateway.db", isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        boot = world.boot("Sources=cached", "Race=no", "AttemptTimeout=20s", invite=invite, gateways=[DEAD, G1, G2])
        boot.wait_for("the gateway cannot serve this now")
        boot.wait_for(ENROLLED)
        lock.close()


def test_a_resolver_that_comes_back():
    """A node that was started before its network would stay out until somebody restarts it."""
    with World() as world:
        site = world.gateway(G1)
        boot = world.boot(*RACE, "Sources=public-dns", "LookupTimeout=300ms", "[Failure]", "RetryMax=1s",
                          invite=site.invite())
        boot.wait_for("trying again in")
        world.resolver(PUBLIC, G1)
        boot.wait_for(ENROLLED)


def test_the_budget_holds_when_everything_is_dead():
    """A node that waits for ever can't be rebooted, held or looked after by its init."""
    with World() as world:
        boot = world.boot(*RACE, "AttemptTimeout=1s", "LookupTimeout=1s", "[Failure]", "TotalTimeout=10s",
                          gateways=[DEAD])
        assert boot.process.wait(60) == NO_GATEWAY
        last = [event for event in world.events() if event["event"] == "finished"][-1]
        assert 10_000 <= last["fields"]["ms"] <= 11_000, last
        assert last["fields"]["cause"] == "no-gateway"


# --- opsec -----------------------------------------------------------------------------------------

def test_with_cached_alone_no_packet_of_dns_is_sent():
    """One question tells everybody on the wire whose node this is."""
    for gateway_is_up in (True, False):
        with World() as world:
            if gateway_is_up:
                world.gateway(G1)
            world.resolver(PUBLIC, G1 if gateway_is_up else DEAD)
            wire = world.router.capture("lan0")
            calls = world.net.folder / "calls"
            # A router whose end of the cable is not up yet loses the first question for its MAC, and the kernel
            # asks again after a second: who is there is waited for longer.
            patience = "AttemptTimeout=20s" if gateway_is_up else "AttemptTimeout=1s"
            report = world.probe(*RACE, "Sources=cached", patience, gateways=[G1], network=with_dns(PUBLIC),
                                 wrapper=["strace", "-f", "-o", calls, "-e", "trace=socket,connect,sendto,sendmsg"])
            assert (report.status == 0) == gateway_is_up
            assert not report.values["lookups"]
            assert not [packet for packet in wire.stop() if packet.kind == "dns"]
            said = calls.read_text()
            assert "connect(" in said and "htons(53)" not in said and "htons(5353)" not in said


def test_a_key_without_its_state_asks_no_resolver():
    """Who deletes a variable would make an opsec node ask the world for its gateway."""
    for spoilt in (None, b"FORTROS\x01 and then nothing of the kind", b"", bytes(30_000)):
        with World() as world:
            world.gateway(G1)
            world.resolver(PUBLIC, G1)
            (world.net.folder / "key").write_bytes(KEY_RECORD)
            if spoilt is not None:
                (world.net.folder / "state").write_bytes(spoilt)
            wire = world.router.capture("lan0")
            report = world.probe(*RACE, gateways=[G2], network=with_dns(PUBLIC))
            assert report.values["state_lost"] and report.values["sources"] == "cached"
            assert report.status == POLICY_LOST
            assert not [packet for packet in wire.stop() if packet.kind == "dns"]


# --- DHCP ------------------------------------------------------------------------------------------

def test_dhcp_names_the_resolver():
    """The whole way of an ordinary network: address, router and resolver from DHCP."""
    with World() as world:
        world.gateway(G1)
        world.resolver(DHCP, G1)
        dhcp_servers.dnsmasq(world.router, "lan0", "option:router,192.0.2.1", f"option:dns-server,{DHCP}")
        report = world.probe(*RACE, "Sources=dhcp-dns", network=["Mode=auto"])
        assert report.winner == ("dhcp-dns", endpoint(G1))
        assert report.values["links"][0]["resolvers"] == [DHCP]


def test_an_ipv6_router_names_the_resolver():
    """A network without IPv4 and without DHCP: address, router and resolver come by advertisement."""
    with World() as world:
        world.gateway(V6)
        world.resolver(PUBLIC6, V6)
        dhcp_servers.radvd(world.router, "lan0", f"RDNSS {PUBLIC6} {{ }};", prefix="2001:db8::/64")
        report = world.probe(*RACE, "Sources=dhcp-dns", network=["Mode=auto"])
        assert report.winner == ("dhcp-dns", endpoint(V6))


def test_a_resolver_with_a_link_local_address():
    """Home routers name themselves so; the address means nothing without its link."""
    with World() as world:
        world.gateway(V6)
        world.router.run("ip", "address", "add", "fe80::53/64", "dev", "lan0", "nodad")
        world.resolver("fe80::53", V6, interface="lan0")
        dhcp_servers.radvd(world.router, "lan0", "RDNSS fe80::53 { };", prefix="2001:db8::/64")
        report = world.probe(*RACE, "Sources=dhcp-dns", network=["Mode=auto"])
        assert report.winner == ("dhcp-dns", endpoint(V6))


def test_dhcpv6_names_the_resolver():
    """A network whose routers leave resolvers to DHCPv6."""
    with World() as world:
        world.gateway(V6)
        world.resolver(PUBLIC6, V6)
        dhcp_servers.radvd(world.router, "lan0", "AdvOtherConfigFlag on;", prefix="2001:db8::/64")
        dhcp_servers.dnsmasq6(world.router, "lan0", "--dhcp-range=2001:db8::,static",
                              f"--dhcp-option=option6:dns-server,[{PUBLIC6}]")
        report = world.probe(*RACE, "Sources=dhcp-dns", network=["Mode=auto"])
        assert report.winner == ("dhcp-dns", endpoint(V6))


def test_no_link_at_all():
    """An operator must be told of the cable and not of the gateway."""
    with World() as world:
        world.router.run("ip", "link", "set", "lan0", "down")
        report = world.probe(*RACE, network=["Mode=auto", "LinkTimeout=1s"])
        assert report.status == NO_LINK
        assert "no carrier" in report.values["link_trouble"]
