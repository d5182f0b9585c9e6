"""os/resolver.h against real name servers (unbound, dnsmasq) and against servers that misbehave.

Everything is on the loopback of a network namespace of this file's own: a server at 127.0.0.X or ::1.
"""

import json
import os
import pathlib
import socket
import subprocess
import tempfile
import threading
import time

from lib import dns
from lib.netns import Net, Process

ALONE = True  # a resolver's tries take seconds, by the clock: who answers just in time must not be held up

PROBE = pathlib.Path(__file__).resolve().parents[2] / "build/out/tests/net/resolver-probe"
NAME = "gateway.example.org"
V4, V6 = "192.0.2.1", "2001:db8::1"
OWN = [f"[{V6}]:443", f"{V4}:443"]
SERVICE = "_fortros-gateway._tcp.example.org"
CANDIDATES_LIMIT = 16  # core/discovery.h
SERVICES_LIMIT, OF_ONE_SERVICE = 8, 4  # os/resolver_order.h
GRACE_MS = 200  # os/resolver.h
LOOKUP_TIMEOUT_MS = 5000  # core/discovery.h
ALL_TRIES_MS = 2500  # less than os/resolver.cc tries a silent server


def look_up(*words, name=NAME, options=(), environment=None):
    """What the probe prints, as Python values."""
    done = subprocess.run([str(PROBE), *map(str, options), name, *words], text=True, capture_output=True, timeout=60,
                          stdin=subprocess.DEVNULL, check=False, env={**os.environ, **(environment or {})})
    print(shown := f"{name} {words}: {done.stdout.strip()} {done.stderr.strip()}")
    assert done.returncode == 0, shown
    return json.loads(done.stdout)


def addresses(*words, **options):
    answer = look_up(*words, **options)
    assert "addresses" in answer, answer
    return answer["addresses"]


def endpoints(*words, options=(), **others):
    answer = look_up(*words, options=("--service", SERVICE, *options), **others)
    assert "endpoints" in answer, answer
    return answer["endpoints"]


def refusal(*words, **options):
    answer = look_up(*words, **options)
    assert "error" in answer, answer
    return answer["error"], answer["text"]


class Dnsmasq:
    def __init__(self, address, *options):
        self.process = Process(["dnsmasq", "--keep-in-foreground", "--log-facility=-", "--log-queries", "--conf-file=/dev/null",
                                "--no-resolv", "--no-hosts", "--bind-interfaces", f"--listen-address={address}",
                                "--user=root", "--pid-file", *options], "dnsmasq")
        self.process.wait_for("started")

    def __enter__(self):
        return self.process

    def __exit__(self, *_):
        self.process.stop()


class Unbound:
    def __init__(self, address, *lines):
        self.folder = tempfile.mkdtemp(prefix="unbound.")
        config = pathlib.Path(self.folder, "unbound.conf")
        config.write_text(f"""
server:
    interface: {address}
    access-control: 0.0.0.0/0 allow
    access-control: ::/0 allow
    do-daemonize: no
    chroot: ""
    username: ""
    directory: "{self.folder}"
    pidfile: ""
    use-syslog: no
    verbosity: 1
    module-config: "iterator"
    minimal-responses: no
    do-not-query-localhost: no
""" + "\n".join(lines) + "\nremote-control:\n    control-enable: no\n", encoding="ascii")
        self.process = Process(["unbound", "-d", "-c", str(config)], "unbound")
        self.process.wait_for("start of service")

    def __enter__(self):
        return self.process

    def __exit__(self, *_):
        self.process.stop()


def test_both_families():
    """A node would know only half of the ways to its gateway, or try the worse one first."""
    with Dnsmasq("127.0.0.2", f"--host-record={NAME},{V4},{V6}"):
        assert addresses("127.0.0.2") == [V6, V4]
    with Unbound("127.0.0.3", f'    local-data: "{NAME}. A {V4}"', f'    local-data: "{NAME}. AAAA {V6}"'):
        assert addresses("127.0.0.3") == [V6, V4]


def test_one_family():
    """On a network of one family no gateway would be found, or the other one's absence would be waited for."""
    with Dnsmasq("127.0.0.2", f"--host-record={NAME},{V4}"):
        answer = look_up("127.0.0.2")
        assert answer["addresses"] == [V4] and answer["took_ms"] < GRACE_MS, answer
    with Dnsmasq("127.0.0.2", f"--host-record={NAME},{V6}"):
        answer = look_up("127.0.0.2")
        assert answer["addresses"] == [V6] and answer["took_ms"] < GRACE_MS, answer


def test_servers_over_ipv6():
    """An IPv6-only network would have no DNS."""
    with Unbound("::1", f'    local-data: "{NAME}. AAAA {V6}"'):
        assert addresses("::1") == [V6]


def test_link_local_server():
    """A home router that announces itself as fe80::1 (RDNSS) could not be asked."""
    with Net() as net:
        node, router = net.namespace("node"), net.namespace("router")
        net.wire(node, "eth0", router, "lan0", a_up=True)
        for host, link, address in ((router, "lan0", "fe80::53"), (node, "eth0", "fe80::2")):
            host.run("ip", "address", "add", f"{address}/64", "dev", link, "nodad")
        router.start("dnsmasq", "--keep-in-foreground", "--log-facility=-", "--conf-file=/dev/null", "--no-resolv",
                     "--no-hosts", "--user=root", "--pid-file", f"--host-record={NAME},{V4}", ready="started")
        found = json.loads(node.run(PROBE, "--link", "eth0", NAME, "fe80::53"))
        assert found.get("addresses") == [V4], found
        found = json.loads(node.run(PROBE, NAME, "fe80::53"))
        assert found["error"] == "unreachable", found


def test_link_local_servers_of_two_links():
    """Two home routers are both fe80::1: the wrong one would be asked, and over TCP nobody."""
    with Net() as net:
        node = net.namespace("node")
        for number in (1, 2):
            router = net.namespace(f"router{number}")
            net.wire(node, f"eth{number}", router, "lan0", a_up=True)
            router.run("ip", "address", "add", "fe80::53/64", "dev", "lan0", "nodad")
            node.run("ip", "address", "add", "fe80::2/64", "dev", f"eth{number}", "nodad")
            records = [f"--srv-host={SERVICE},gw.example.org,844{number}", f"--host-record=gw.example.org,192.0.2.{number}"]
            records += [f"--host-record={NAME},2001:db8:{number}::{i:x}" for i in range(1, 101)]
            router.start("dnsmasq", "--keep-in-foreground", "--log-facility=-", "--conf-file=/dev/null", "--no-resolv",
                         "--no-hosts", "--user=root", "--pid-file", "--edns-packet-max=512", *records, ready="started")
        for number in (2, 1):
            found = json.loads(node.run(PROBE, "--link", f"eth{number}", "--service", SERVICE, NAME, "fe80::53"))
            first, *others = found["endpoints"]
            assert first == f"192.0.2.{number}:844{number}" and len(others) == CANDIDATES_LIMIT - 1, found
            assert all(other.startswith(f"[2001:db8:{number}:") for other in others), found


def test_no():
    """The operator would not learn what is wrong with the name."""
    with Unbound("127.0.0.2",
                 f'    local-zone: "{NAME}" static',
                 '    local-zone: "nothing.example.org" always_nodata',
                 '    local-zone: "refused.example.org" refuse'):
        code, text = refusal("127.0.0.2")
        assert code == "name-not-resolved" and "'gateway.example.org' does not exist (NXDOMAIN)" in text, text
        assert text.endswith("asked: 127.0.0.2"), text
        code, text = refusal("127.0.0.2", name="nothing.example.org")
        assert code == "name-not-resolved" and "has no address" in text, text
        code, text = refusal("127.0.0.2", name="refused.example.org")
        assert code == "name-not-resolved" and "REFUSED" in text, text
    code, text = refusal("127.0.0.2", name="no..name")
    assert code == "invalid-argument", text


def test_servfail():
    """A resolver behind a dead uplink would be taken for a silent one, or waited for."""
    with dns.Server("127.0.0.9", lambda question: [question.refuse(dns.SERVFAIL)]), \
            Unbound("127.0.0.2", "forward-zone:", '    name: "example.org"', "    forward-addr: 127.0.0.9"):
        code, text = refusal("127.0.0.2")
    assert code == "name-not-resolved" and "SERVFAIL" in text, text


def test_the_telling_refusal():
    """Of two answers the one that says nothing would be shown."""
    def by_type(a, aaaa):
        def react(question):
            rcode = a if question.type == dns.A else aaaa
            return [] if rcode is None else [question.refuse(rcode)]
        return react

    for a, aaaa, wanted in ((dns.NOERROR, dns.SERVFAIL, "SERVFAIL"), (dns.SERVFAIL, dns.NOERROR, "SERVFAIL"),
                            (dns.SERVFAIL, dns.NXDOMAIN, "NXDOMAIN"), (dns.NXDOMAIN, dns.SERVFAIL, "NXDOMAIN"),
                            (dns.NOERROR, None, "no DNS server answers"), (None, dns.NOERROR, "no DNS server answers"),
                            (dns.NOERROR, dns.NOERROR, "has no address")):
        with dns.Server("127.0.0.2", by_type(a, aaaa)):
            _, text = refusal("127.0.0.2")
            assert wanted in text, (a, aaaa, text)


def test_no_server():
    """A node without DNS would ask 127.0.0.1, as c-ares does by default."""
    with dns.Server("127.0.0.1", lambda question: [question.answer(V4, V6)]) as trap:
        code, text = refusal()
        assert code == "unreachable" and "no DNS server is known" in text, text
        assert not trap.questions


def test_nothing_but_the_given_servers():
    """In an opsec deployment a resolver of the image's own settings would be asked."""
    with dns.Server("127.0.0.1", lambda question: [question.answer(V4, V6)]) as trap, \
            dns.Server("127.0.0.2", lambda question: [question.refuse(dns.NXDOMAIN)]) as server, \
            tempfile.TemporaryDirectory() as folder:
        resolv_conf, hosts = pathlib.Path(folder, "resolv.conf"), pathlib.Path(folder, "hosts")
        resolv_conf.write_text("nameserver 127.0.0.1\nsearch example.com\noptions use-vc\n", encoding="ascii")
        hosts.write_text(f"{V4} {NAME} gateway\n", encoding="ascii")
        with bound({"/etc/resolv.conf": resolv_conf, "/etc/hosts": hosts}):
            for name in (NAME, "gateway"):
                code, _ = refusal("127.0.0.2", name=name, environment={
                    "LOCALDOMAIN": "example.net", "RES_OPTIONS": "ndots:9", "CARES_HOSTS": str(hosts)})
                assert code == "name-not-resolved"
        assert not trap.questions, trap.questions
        assert {question.name for question in server.questions} == {NAME, "gateway"}
        assert not any(question.over_tcp for question in server.questions)


class bound:
    """Files in the place of others, for this file's own mount namespace."""

    def __init__(self, files):
        self.files = files

    def __enter__(self):
        for place, file in self.files.items():
            subprocess.run(["mount", "--bind", file, place], check=True)

    def __exit__(self, *_):
        for place in self.files:
            subprocess.run(["umount", place], check=True)


def test_silent_server():
    """A dead resolver would hold up the boot without end."""
    with dns.Server("127.0.0.2", lambda question: []) as silent:
        code, text = refusal("127.0.0.2")
    assert code == "timeout" and "no DNS server answers" in text, text
    assert 4 <= len(silent.questions) <= 8, silent.questions  # both families, a few rounds


def test_second_server():
    """One dead resolver of two would keep the node from its gateway."""
    with dns.Server("127.0.0.2", lambda question: []), Dnsmasq("127.0.0.3", f"--host-record={NAME},{V4},{V6}"):
        assert addresses("127.0.0.2", "127.0.0.3") == [V6, V4]
        assert addresses("127.0.0.9", "127.0.0.3") == [V6, V4]  # nobody there: refused at once


def test_broken_server():
    """A resolver that only says SERVFAIL would hide the one that knows."""
    with dns.Server("127.0.0.2", lambda question: [question.refuse(dns.SERVFAIL)]), \
            Dnsmasq("127.0.0.3", f"--host-record={NAME},{V4},{V6}"):
        assert addresses("127.0.0.2", "127.0.0.3") == [V6, V4]


def test_slow_family():
    """A resolver that drops AAAA questions, as old load balancers do, would cost the whole look-up."""
    with dns.Server("127.0.0.2", lambda question: [question.answer(V4)] if question.type == dns.A else []):
        answer = look_up("127.0.0.2")
        assert answer["addresses"] == [V4], answer
        assert GRACE_MS <= answer["took_ms"] < ALL_TRIES_MS, answer

    def late(question):
        if question.type == dns.AAAA:
            time.sleep(GRACE_MS / 2000)  # the server's own slowness: half the grace
        return [question.answer(V4, V6)]

    with dns.Server("127.0.0.2", late):
        assert addresses("127.0.0.2") == [V6, V4]


def test_cname_chain():
    """A gateway behind a hosting provider's names would not be found."""
    with Dnsmasq("127.0.0.2", f"--cname={NAME},a.example.org", "--cname=a.example.org,b.example.org",
                 f"--host-record=b.example.org,{V4},{V6}"):
        assert addresses("127.0.0.2") == [V6, V4]


def test_records_of_other_names():
    """A resolver could add addresses to a look-up that nobody made."""
    def stray(question):
        """The same three records for either question: one of them is meant."""
        return [question.message(question.record(dns.A, bytes([198, 51, 100, 1]), "other.example.org")
                                 + question.record(dns.A, bytes([192, 0, 2, 1]))
                                 + question.record(dns.AAAA, bytes(15) + b"\x99", "other.example.org"), 3)]

    def endless(question):
        return [question.message(question.record(dns.CNAME, dns.wire_name("b.example.org"))
                                 + question.record(dns.CNAME, dns.wire_name(NAME), "b.example.org"), 2)]

    with dns.Server("127.0.0.2", stray):
        assert addresses("127.0.0.2") == [V4]
    with dns.Server("127.0.0.2", endless):
        code, _ = refusal("127.0.0.2")
        assert code == "name-not-resolved"


def test_truncation():
    """A name with many addresses could not be looked up: its answer does not fit into a datagram."""
    many = [f"2001:db8::{i:x}" for i in range(1, 101)]
    with Unbound("127.0.0.2", *[f'    local-data: "{NAME}. AAAA {address}"' for address in many]):
        found = addresses("127.0.0.2")
    assert len(found) == CANDIDATES_LIMIT and set(found) <= set(many), found

    def over_tcp_only(question):
        return [question.answer(V4, V6)] if question.over_tcp else [question.answer(flags=dns.TRUNCATED)]

    with dns.Server("127.0.0.2", over_tcp_only) as server:
        assert addresses("127.0.0.2") == [V6, V4]
        assert any(question.over_tcp for question in server.questions)


def test_many_addresses():
    """A resolver could keep a node busy with addresses for hours, or crowd out a whole family."""
    v4 = [f"192.0.2.{i}" for i in range(1, 61)]
    v6 = [f"2001:db8::{i:x}" for i in range(1, 61)]
    with dns.Server("127.0.0.2", lambda question: [question.answer(*v4, *v6)]):
        found = addresses("127.0.0.2")
    expected = [address for pair in zip(v6, v4) for address in pair][:CANDIDATES_LIMIT]
    assert found == expected, found


def test_useless_addresses():
    """A resolver that blocks a name would have the node knock at its own door, or at everybody's."""
    useless = ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "169.254.1.1",
               "::", "::1", "ff02::1", "fe80::1", f"::ffff:{V4}"]
    with dns.Server("127.0.0.2", lambda question: [question.answer(*useless, V4, V4, V6)]):
        assert addresses("127.0.0.2") == [V6, V4]
    with dns.Server("127.0.0.2", lambda question: [question.answer(*useless)]):
        code, text = refusal("127.0.0.2")
        assert code == "name-not-resolved" and "no address that a gateway can have" in text, text


def test_spoofed_answers():
    """Whoever is not on the path could answer in the resolver's place, by guessing."""
    def spoofed(question):
        lies = [question.answer("198.51.100.66", "2001:db8::66", id=(question.id + i) & 0xffff) for i in range(1, 20)]
        lies.append(dns.Question(question.id, "x.org", question.type, False, dns.wire_name("x.org") + question.raw[-4:])
                    .answer("198.51.100.66", "2001:db8::66"))
        return [*lies, question.answer(V4, V6)]

    with dns.Server("127.0.0.2", spoofed):
        assert addresses("127.0.0.2") == [V6, V4]

    def from_elsewhere(question):
        """The question's very id, from another port of the server's host, and from another host."""
        for source in ("127.0.0.2", "127.0.0.4"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as spoofer:
                # Both questions may be spoofed at once.
                spoofer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                spoofer.bind((source, 0 if source == "127.0.0.2" else 53))
                spoofer.sendto(question.answer("198.51.100.66", "2001:db8::66"), question.client)
        return [question.answer(V4, V6)]

    with dns.Server("127.0.0.2", from_elsewhere):
        assert addresses("127.0.0.2") == [V6, V4]


def test_garbage():
    """A hostile resolver would end the program, or be believed."""
    def cut(question):
        whole = question.answer(V4, V6)
        return [whole[:size] for size in range(0, len(whole), 3)] + [whole[:2] + bytes(30), b"\xff" * 400]

    with dns.Server("127.0.0.2", cut), Dnsmasq("127.0.0.3", f"--host-record={NAME},{V4},{V6}"):
        assert addresses("127.0.0.2", "127.0.0.3") == [V6, V4]


def test_late_answers():
    """A resolver behind a slow line, whose every answer takes three seconds, would never be heard."""
    def late(question):
        time.sleep(3)  # the server's own slowness
        return [question.answer(V4, V6)]

    with dns.Server("127.0.0.2", late) as server:
        answer = look_up("127.0.0.2", options=("--timeout", LOOKUP_TIMEOUT_MS))
        assert answer.get("addresses") == [V6, V4], answer
        assert len(server.questions) > 2, "it was asked only once: a lost packet would cost seconds"


# --- services ---

def by_name(answers):
    """Reacts with what `answers` says for (name, type), or for the name; with "no such name" for others."""
    def react(question):
        answer = answers.get((question.name, question.type), answers.get(question.name))
        if callable(answer):
            return answer(question)
        return [question.refuse(dns.NXDOMAIN) if answer is None else question.answer(*answer)]
    return react


def services(*records, **options):
    return lambda question: [question.services(*records, **options)]


def test_services_of_real_servers():
    """The priorities and ports that an operator has published would mean nothing."""
    expected = ["[2001:db8::a]:8443", "192.0.2.10:8443", "192.0.2.11:8444", *OWN]
    with Dnsmasq("127.0.0.2", f"--srv-host={SERVICE},gw2.example.org,8444,20", f"--srv-host={SERVICE},gw1.example.org,8443,10",
                 "--host-record=gw1.example.org,192.0.2.10,2001:db8::a", "--host-record=gw2.example.org,192.0.2.11",
                 f"--host-record={NAME},{V4},{V6}"):
        assert endpoints("127.0.0.2") == expected
        assert addresses("127.0.0.2") == [V6, V4]  # without a service
    data = (f"{SERVICE}. SRV 20 0 8444 gw2.example.org.", f"{SERVICE}. SRV 10 0 8443 gw1.example.org.",
            "gw1.example.org. A 192.0.2.10", "gw1.example.org. AAAA 2001:db8::a", "gw2.example.org. A 192.0.2.11",
            f"{NAME}. A {V4}", f"{NAME}. AAAA {V6}")
    with Unbound("127.0.0.3", *[f'    local-data: "{record}"' for record in data]):
        assert endpoints("127.0.0.3") == expected
        assert endpoints("127.0.0.3", options=("--gateway-port", 444))[-1] == f"{V4}:444"


def test_services_alone():
    """An org without addresses at the name itself, only with services, would have no gateway."""
    with Dnsmasq("127.0.0.2", f"--srv-host={SERVICE},gw1.example.org,8443", "--host-record=gw1.example.org,192.0.2.10"):
        assert endpoints("127.0.0.2") == ["192.0.2.10:8443"]
    with Dnsmasq("127.0.0.2", f"--srv-host={SERVICE},gw1.example.org,8443", "--local=/example.org/"):
        code, text = refusal("127.0.0.2", options=("--service", SERVICE))
        assert code == "name-not-resolved" and f"gateway that '{SERVICE}' names" in text, text


def test_everything_is_asked_at_once():
    """Each boot would take a round trip more than it needs."""
    own, targets = threading.Barrier(3), threading.Barrier(4)

    def react(question):
        """Answers only when all of its kind have been asked; else the barrier breaks, and nobody answers."""
        (targets if question.name.startswith("gw") else own).wait(timeout=20)
        if question.type == dns.SRV:
            return [question.services((1, 0, 8443, "gw1.example.org"), (2, 0, 8444, "gw2.example.org"))]
        return [question.answer(V4, V6) if question.name == NAME else question.answer("192.0.2.10")]

    with dns.Server("127.0.0.2", react) as server:
        assert endpoints("127.0.0.2") == ["192.0.2.10:8443", "192.0.2.10:8444", *OWN]
        assert len(server.questions) == 7, server.questions


def test_service_of_the_name_itself():
    """A gateway at the name, on another port, would be looked for twice, or at the wrong port only."""
    with dns.Server("127.0.0.2", by_name({NAME: (V4, V6), SERVICE: services((0, 0, 8443, NAME.upper()))})) as server:
        assert endpoints("127.0.0.2") == [f"[{V6}]:8443", f"{V4}:8443", *OWN]
        assert len(server.questions) == 3, server.questions
    with dns.Server("127.0.0.2", by_name({NAME: (V4, V6), SERVICE: services((0, 0, 443, NAME))})):
        assert endpoints("127.0.0.2") == OWN


def test_addresses_beside_services():
    """A round trip would be wasted on what the answer has said; or a resolver could slip in what belongs to nobody."""
    beside = [("gw1.example.org", "192.0.2.10"), ("other.example.org", "198.51.100.66"), ("gw1.example.org", "2001:db8::a"),
              ("gw2.example.org", "127.0.0.1")]
    with dns.Server("127.0.0.2", by_name({
            NAME: (V4, V6), "gw2.example.org": ("192.0.2.11",),
            SERVICE: services((0, 0, 8443, "gw1.example.org"), (1, 0, 8444, "gw2.example.org"), additional=beside)})) as server:
        assert endpoints("127.0.0.2") == ["[2001:db8::a]:8443", "192.0.2.10:8443", "192.0.2.11:8444", *OWN]
        assert "gw1.example.org" not in {question.name for question in server.questions}


def test_service_behind_an_alias():
    """A gateway at a hosting provider's name would not be found, though RFC 2782 forbids such targets."""
    with Dnsmasq("127.0.0.2", f"--srv-host={SERVICE},gw1.example.org,8443", "--cname=gw1.example.org,a.example.net",
                 "--cname=a.example.net,b.example.net", "--host-record=b.example.net,192.0.2.10,2001:db8::a",
                 f"--host-record={NAME},{V4},{V6}"):
        assert endpoints("127.0.0.2") == ["[2001:db8::a]:8443", "192.0.2.10:8443", *OWN]

    def alias(question, target):
        return [question.message(question.record(dns.CNAME, dns.wire_name(target)), 1)]

    with dns.Server("127.0.0.2", by_name({
            NAME: (V4, V6), SERVICE: services((0, 0, 8443, "a.org"), (0, 0, 8444, "b.org")),
            "a.org": lambda question: alias(question, "b.org"), "b.org": lambda question: alias(question, "a.org")})):
        assert endpoints("127.0.0.2") == OWN


def test_no_such_service():
    """A domain that says it has no such service (target "."), or says nonsense, would lose its good addresses."""
    for record in ((0, 0, 0, "."), (0, 0, 443, "."), (0, 0, 0, "gw1.example.org"), (0, 0, 443, "192.0.2.66"),
                   (0, 0, 443, "no host name.org"), (0, 0, 443, "x" * 63 + "." + "y" * 63)):
        with dns.Server("127.0.0.2", by_name({NAME: (V4, V6), "gw1.example.org": ("198.51.100.66",),
                                              SERVICE: services(record)})):
            assert endpoints("127.0.0.2") == OWN, record
    with dns.Server("127.0.0.2", by_name({NAME: (V4, V6)})):
        answer = look_up("127.0.0.2", options=("--service", "no..name"))
        assert answer["endpoints"] == OWN, answer


def test_services_refused():
    """A resolver that knows no SRV records, as some routers', would cost the addresses that it has given."""
    def broken(question):
        return [question.message(question.record(dns.SRV, b"\0\1"), 1)]

    for reaction in (*[lambda question, rcode=rcode: [question.refuse(rcode)]
                       for rcode in (dns.SERVFAIL, dns.NXDOMAIN, dns.REFUSED, dns.NOTIMP, dns.FORMERR, dns.NOERROR)],
                     broken, lambda question: []):
        with dns.Server("127.0.0.2", by_name({NAME: (V4, V6), SERVICE: reaction})):
            answer = look_up("127.0.0.2", options=("--service", SERVICE))
            assert answer["endpoints"] == OWN and answer["took_ms"] < ALL_TRIES_MS, answer


def test_slow_targets():
    """On a line with a long round trip services would never count, as their addresses come one round trip later."""
    line_s = 1.5 * GRACE_MS / 1000
    world = by_name({NAME: (V4, V6), SERVICE: services((0, 0, 8443, "gw1.example.org"), (1, 0, 8443, "silent.example.org")),
                     "gw1.example.org": ("192.0.2.10",), "silent.example.org": lambda question: []})

    def slow(question):
        time.sleep(line_s)  # the line's slowness
        return world(question)

    with dns.Server("127.0.0.2", slow):
        answer = look_up("127.0.0.2", options=("--service", SERVICE))
        assert answer["endpoints"] == ["192.0.2.10:8443", *OWN] and answer["took_ms"] < ALL_TRIES_MS, answer


def test_services_beside_a_silent_family():
    """A resolver that drops AAAA questions would cost the services: nobody would ask for their addresses in time."""
    with dns.Server("127.0.0.2", by_name({
            (NAME, dns.A): (V4,), (NAME, dns.AAAA): lambda question: [], SERVICE: services((0, 0, 8443, "gw1.example.org")),
            ("gw1.example.org", dns.A): ("192.0.2.10",), ("gw1.example.org", dns.AAAA): lambda question: []})):
        assert endpoints("127.0.0.2") == ["192.0.2.10:8443", f"{V4}:443"]


def test_many_services():
    """A resolver could keep a node busy with gateways for hours, or one service crowd out all others."""
    many = [f"192.0.2.{i}" for i in range(1, 61)]
    names = [f"gw{i}.example.org" for i in range(1, 61)]
    with Unbound("127.0.0.2", *[f'    local-data: "{SERVICE}. SRV {i} 0 8443 {name}"' for i, name in enumerate(names)],
                 *[f'    local-data: "{name}. A {address}"' for name, address in zip(names, many)],
                 f'    local-data: "{NAME}. A {V4}"'):  # needs TCP
        assert endpoints("127.0.0.2") == [f"{address}:8443" for address in many[:SERVICES_LIMIT]] + [f"{V4}:443"]
    world = {NAME: many, SERVICE: services(*[(i, 0, 8443, name) for i, name in enumerate(names)])}
    with dns.Server("127.0.0.2", by_name(world | {name: many for name in names})) as server:
        assert len(endpoints("127.0.0.2")) == CANDIDATES_LIMIT
        assert len({question.name for question in server.questions}) == 2 + SERVICES_LIMIT
    with dns.Server("127.0.0.2", by_name({NAME: (V4, V6), "gw1.example.org": many, SERVICE:
                                          services((0, 0, 8443, "gw1.example.org"))})):
        assert endpoints("127.0.0.2") == [f"{address}:8443" for address in many[:OF_ONE_SERVICE]] + OWN


def test_services_and_truncation():
    """Services that do not fit into a datagram would be lost."""
    def over_tcp_only(question):
        if question.type != dns.SRV:
            return [question.answer(V4, V6)]
        return [question.services((0, 0, 8443, NAME)) if question.over_tcp else question.services(flags=dns.TRUNCATED)]

    with dns.Server("127.0.0.2", over_tcp_only):
        assert endpoints("127.0.0.2") == [f"[{V6}]:8443", f"{V4}:8443", *OWN]


def test_services_of_a_second_server():
    """One dead resolver of two would cost the services, or the boot."""
    with dns.Server("127.0.0.2", lambda question: []), \
            Dnsmasq("127.0.0.3", f"--srv-host={SERVICE},gw1.example.org,8443", "--host-record=gw1.example.org,192.0.2.10",
                    f"--host-record={NAME},{V4},{V6}"):
        assert endpoints("127.0.0.2", "127.0.0.3") == ["192.0.2.10:8443", *OWN]


def test_cancel():
    """A loser of the race would speak up after it was cancelled."""
    with dns.Server("127.0.0.2", lambda question: []):
        assert look_up("127.0.0.2", options=("--cancel-after", 20)) | {"took_ms": 0} == \
            {"cancelled": True, "calls": 0, "took_ms": 0}
