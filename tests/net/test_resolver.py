"""os/resolver.h against real name servers (unbound, dnsmasq) and against servers that misbehave.

Everything is on the loopback of a network namespace of this file's own: a server at 127.0.0.X or ::1.
"""

import json
import os
import pathlib
import subprocess
import tempfile
import time

from lib import dns
from lib.netns import Net, Process

PROBE = pathlib.Path(__file__).resolve().parents[2] / "build/out/tests/net/resolver-probe"
NAME = "gateway.example.org"
V4, V6 = "192.0.2.1", "2001:db8::1"
CANDIDATES_LIMIT = 16  # core/discovery.h
GRACE_MS = 200  # os/resolver.h
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


def test_garbage():
    """A hostile resolver would end the program, or be believed."""
    def cut(question):
        whole = question.answer(V4, V6)
        return [whole[:size] for size in range(0, len(whole), 3)] + [whole[:2] + bytes(30), b"\xff" * 400]

    with dns.Server("127.0.0.2", cut), Dnsmasq("127.0.0.3", f"--host-record={NAME},{V4},{V6}"):
        assert addresses("127.0.0.2", "127.0.0.3") == [V6, V4]


def test_cancel():
    """A loser of the race would speak up after it was cancelled."""
    with dns.Server("127.0.0.2", lambda question: []):
        assert look_up("127.0.0.2", options=("--cancel-after", 20)) | {"took_ms": 0} == \
            {"cancelled": True, "calls": 0, "took_ms": 0}
