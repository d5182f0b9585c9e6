"""os/tls.h against real OpenSSL: `openssl s_server`, and Python's ssl module where a server must
misbehave. Certificates are made by certs/ and, where certs/ would never make them, by openssl."""

import datetime
import functools
import itertools
import json
import pathlib
import re
import ssl
import subprocess
import tempfile

from lib import tls
from lib.netns import Process
from lib.org import Org, openssl

PROBE = pathlib.Path(__file__).resolve().parents[2] / "build/out/tests/net/tls-probe"
SECRET = b"the-secret-invite"
EXPORTER_LABEL = "EXPORTER-fortros-proof-v1"
NOT_OURS = "is not signed by the pinned organisation CA"


@functools.cache
def world():
    """The org, one honest gateway, and a folder for everything else."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tls."))
    org = Org.make(folder / "org")
    return org, org.gateway(folder / "gateway"), folder


_numbers = itertools.count()


def fresh(gateway):
    """A copy of the gateway's folder, for another certificate."""
    _, _, folder = world()
    return gateway.copy(folder / f"gateway{next(_numbers)}")


def probe(endpoint, *, ca=None, name=None, now="", timeout_ms=""):
    """What the probe tells."""
    org, _, _ = world()
    words = [PROBE, ca or org.ca, name or org.gateway_name, endpoint]
    if now or timeout_ms:
        words += [now or datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), timeout_ms or "20000"]
    done = subprocess.run([str(word) for word in words], text=True, capture_output=True, timeout=60,
                          stdin=subprocess.DEVNULL, check=False)
    print(shown := f"{endpoint}: {done.stdout.strip()} {done.stderr.strip()}")
    assert done.returncode == 0, shown
    return json.loads(done.stdout)


def authenticates(gateway, **options):
    with tls.Server(gateway.certificate, gateway.key) as server:
        told = probe(server.endpoint, **options)
    assert told.get("answered") == {"status": 200, "body": "hello"}, told
    assert len(server.requests) == 1 and server.requests[0].endswith(SECRET)
    return told["authenticated"]


def refusal(gateway, *, version=ssl.TLSVersion.TLSv1_3, key=None, **options):
    """Why this gateway is refused; and that it has learnt nothing."""
    with tls.Server(gateway.certificate, key or gateway.key, version=version) as server:
        told = probe(server.endpoint, **options)
    assert "authenticated" not in told and told["failed"]["code"] == "untrusted", told
    assert server.requests == [], server.requests
    return told["failed"]["text"]


def failure(told):
    assert "answered" not in told, told
    return told["failed"]["code"], told["failed"]["text"]


def forged(**how):
    org, gateway, _ = world()
    return org.forge(fresh(gateway), **how)


class SServer:
    """openssl s_server on a port that the kernel has just given away."""

    def __init__(self, gateway, *options):
        with tls.listener() as taken:
            self.endpoint = tls.endpoint(taken)
        self.process = Process(["openssl", "s_server", "-accept", self.endpoint, "-cert", str(gateway.certificate),
                                "-key", str(gateway.key), *options], "s_server")
        self.process.wait_for("ACCEPT")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stop()


def test_s_server_and_the_exporter():
    """The proof of possession would be bound to nothing: both ends must derive the same from TLS."""
    _, gateway, _ = world()
    with SServer(gateway, "-tls1_3", "-keymatexport", EXPORTER_LABEL, "-keymatexportlen", "32") as server:
        node = Process([str(PROBE), str(world()[0].ca), world()[0].gateway_name, server.endpoint], "node")
        server.process.wait_for("Connection: close")  # the body ends in no line
        server.process.process.stdin.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi\n")
        server.process.process.stdin.flush()
        told = json.loads(node.wait_for("^{"))
        node.stop()
    assert told["answered"] == {"status": 200, "body": "hi?"}, told
    exported = re.search(r"Keying material: ([0-9A-F]{64})", "\n".join(server.process.lines))[1]
    assert told["authenticated"]["exporter"] == exported.lower()


def test_good_gateway():
    """No node would join."""
    org, gateway, _ = world()
    identity = authenticates(gateway)
    assert gateway.wireguard_uri.endswith(identity["wireguard_key"])
    leaf_begin, leaf_end = dates_of(gateway.certificate)
    ca_begin, ca_end = dates_of(org.ca)
    assert identity["newest_not_before"] == max(leaf_begin, ca_begin)
    assert identity["earliest_not_after"] == min(leaf_end, ca_end)


def dates_of(certificate):
    shown = openssl("x509", "-in", certificate, "-noout", "-dates", "-dateopt", "iso_8601")
    return [moment.replace(" ", "T") for moment in re.findall(r"=(\S+ \S+Z)", shown)]


def test_ipv6():
    """A gateway that has IPv6 only would be out of reach."""
    _, gateway, _ = world()
    with tls.Server(gateway.certificate, gateway.key, host="::1") as server:
        assert probe(server.endpoint)["answered"]["status"] == 200


def test_rotation():
    """While the org changes its CA, nodes would be locked out, or trust the CA that is not pinned."""
    org, gateway, folder = world()
    successor = org.successor(folder / "successor")
    renewed = successor.gateway(folder / "renewed")
    both = folder / "both.pem"
    both.write_text(org.ca.read_text(encoding="ascii") + successor.ca.read_text(encoding="ascii"), encoding="ascii")
    authenticates(gateway, ca=both)
    authenticates(renewed, ca=both)
    authenticates(renewed, ca=successor.ca)
    assert NOT_OURS in refusal(renewed)
    assert NOT_OURS in refusal(gateway, ca=successor.ca)


def test_another_ca():
    """Anybody could be the gateway who makes a CA with the same names."""
    org, gateway, folder = world()
    twin = org.twin(folder / "twin")
    impostor = twin.forge(fresh(gateway))
    assert NOT_OURS in refusal(impostor)
    with open(impostor.certificate, "a", encoding="ascii") as chain:  # and shows the real CA beside it
        chain.write(twin.ca.read_text(encoding="ascii") + org.ca.read_text(encoding="ascii"))
    assert NOT_OURS in refusal(impostor)


def test_self_signed():
    """The same for a certificate that vouches for itself, as every captive portal has one."""
    org, gateway, _ = world()
    portal = fresh(gateway)
    openssl("req", "-x509", "-new", "-key", portal.key, "-subj", "/CN=portal", "-days", "30",
            "-addext", f"subjectAltName=DNS:{org.gateway_name},URI:{gateway.wireguard_uri}",
            "-addext", "extendedKeyUsage=serverAuth", "-out", portal.certificate)
    assert NOT_OURS in refusal(portal)


def test_a_leaf_that_signs():
    """A stolen gateway key could make gateways of its own."""
    org, gateway, _ = world()
    below = fresh(gateway)
    parent = Org(below.folder)
    (below.folder / "ca.pem").write_bytes(gateway.certificate.read_bytes())
    (below.folder / "ca.key").write_bytes(gateway.key.read_bytes())
    (below.folder / "org.conf").write_bytes((org.folder / "org.conf").read_bytes())
    parent.forge(below)
    with open(below.certificate, "a", encoding="ascii") as chain:
        chain.write(gateway.certificate.read_text(encoding="ascii"))
    assert NOT_OURS in refusal(below)


def test_names():
    """A certificate of the org for another of its hosts would do for the gateway."""
    name = world()[0].gateway_name
    assert "for other names: www.example.org" in refusal(forged(dns=["www.example.org"]))
    assert "for other names: *.example.org" in refusal(forged(dns=["*.example.org"]))
    assert "no DNS name" in refusal(forged(dns=[], uris=[world()[1].wireguard_uri, name]))
    assert "other names" in refusal(world()[1], name="gateway.example.com")
    authenticates(forged(dns=["other.example.org", name.upper()]))


def test_usages():
    """A certificate of the org for mail, for clients or for signing would do for the gateway."""
    assert "no extended key usage" in refusal(forged(usage=None))
    assert "anyExtendedKeyUsage" in refusal(forged(usage="anyExtendedKeyUsage"))
    assert "anyExtendedKeyUsage" in refusal(forged(usage="serverAuth, anyExtendedKeyUsage"))
    assert "not for servers" in refusal(forged(usage="clientAuth"))
    assert "not for servers" in refusal(forged(usage="2.25.229215062394218720325445078132029495471.1"))
    assert "CA certificate" in refusal(forged(is_ca=True))
    authenticates(forged(usage="clientAuth, serverAuth"))


def test_a_signer_is_no_gateway():
    """A stolen signer could take nodes in."""
    org, gateway, _ = world()
    signer = fresh(gateway)
    signer.certificate.write_bytes(org.signer.read_bytes())
    assert "not for servers" in refusal(signer, key=org.signer_key)


def test_wireguard_key():
    """The node would prove its key to a key that the org never vouched for."""
    good = world()[1].wireguard_uri
    assert "names no WireGuard key" in refusal(forged(uris=[]))
    assert "names no WireGuard key" in refusal(forged(uris=["urn:other:" + good]))
    assert "more than one WireGuard key" in refusal(forged(uris=[good, good]))
    for malformed in (good + "=", good[:-1], good[:-1] + "_", "urn:fortros:wireguard:" + "_" * 43):
        assert "WireGuard key that is none" in refusal(forged(uris=[malformed])), malformed
    authenticates(forged(uris=["https://example.org/", good]))


def test_dates():
    """An operator would not know whether the certificate or the clock is wrong; an old leaf would do for ever."""
    hour = datetime.timedelta(hours=1)
    old, early = forged(begin=-3 * hour, end=-hour), forged(begin=hour)
    text = refusal(old)
    assert f"has expired (not after {dates_of(old.certificate)[1]}; the clock says 2" in text, text
    text = refusal(early)
    assert f"is not valid yet (not before {dates_of(early.certificate)[0]}; the clock says 2" in text, text
    # At the time that is given, not at the system clock's.
    past_ca = forged(begin=-3 * hour, end=-hour)
    assert "comes from" in refusal(past_ca, now=dates_of(past_ca.certificate)[0])
    assert "not valid yet" in refusal(world()[1], now="1970-01-01T00:00:00Z")
    text = refusal(world()[1], now="2190-01-01T00:00:00Z")
    assert "has expired" in text and "2190-01-01T00:00:00Z" in text, text


def test_old_protocol():
    """Whoever is on the wire could choose TLS 1.2, with its known holes."""
    _, gateway, _ = world()
    assert refusal(gateway, version=ssl.TLSVersion.TLSv1_2) == "the peer speaks no TLS 1.3"
    with SServer(gateway, "-tls1_2") as server:
        assert failure(probe(server.endpoint)) == ("untrusted", "the peer speaks no TLS 1.3")


def test_rsa():
    """A kind of key that nothing else was tested with would be accepted."""
    org, gateway, _ = world()
    other = fresh(gateway)
    openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", other.key, "-subj", "/CN=gateway",
            "-out", other.request)
    text = refusal(org.forge(other))
    assert "speaks no TLS 1.3, or none that we do" in text or "is not accepted" in text, text


def test_critical_extension():
    """A certificate with conditions that we do not understand would be taken for one without."""
    text = refusal(forged(extensions=("nameConstraints = critical, permitted;DNS:example.com",)))
    assert "cannot be read" in text, text
    text = refusal(forged(extensions=("1.3.6.1.4.1.5923.1 = critical, ASN1:UTF8String:x",)))
    assert "cannot be read" in text, text


def test_other_kinds_of_names():
    """A leaf that some other tool has given more names would end the program, or be refused."""
    org, gateway, _ = world()
    with_other = fresh(gateway)
    profile = with_other.folder / "names.cnf"
    profile.write_text(f"basicConstraints = critical, CA:FALSE\nkeyUsage = critical, digitalSignature\n"
                       f"extendedKeyUsage = serverAuth\nsubjectAltName = @names\n[names]\n"
                       f"otherName.1 = 1.3.6.1.4.1.311.20.2.3;UTF8:somebody\nemail.1 = a@example.org\nIP.1 = 192.0.2.1\n"
                       f"DNS.1 = {org.gateway_name}\nURI.1 = {gateway.wireguard_uri}\nRID.1 = 1.2.3.4\n", encoding="ascii")
    openssl("x509", "-req", "-in", with_other.request, "-CA", org.ca, "-CAkey", org.ca_key, "-days", "30",
            "-extfile", profile, "-out", with_other.certificate)
    authenticates(with_other)


def test_many_certificates():
    """A peer could fill the memory of a small machine with certificates."""
    org, gateway, _ = world()
    long = fresh(gateway)
    one = org.ca.read_text(encoding="ascii")
    size = len(ssl.PEM_cert_to_DER_cert(one))
    with open(long.certificate, "a", encoding="ascii") as chain:
        chain.write(one * (200 * 1024 // size))
    text = refusal(long)
    assert "too large" in text, text
    long.certificate.write_text(gateway.certificate.read_text(encoding="ascii") + one * 5, encoding="ascii")
    authenticates(long)  # a few more than needed are the server's carelessness


def test_nobody_there():
    """The operator would not learn that the port is wrong."""
    with tls.listener() as taken:
        free = tls.endpoint(taken)
    assert failure(probe(free)) == ("unreachable", "cannot connect: Connection refused")


def test_silence():
    """A peer that accepts and says nothing could not be given up."""
    with tls.listener() as silent:
        told = probe(tls.endpoint(silent), timeout_ms="200")
        assert told["timeout"] and "authenticated" not in told, told
    _, gateway, _ = world()
    with tls.Server(gateway.certificate, gateway.key, lambda connection, request: connection.recv(1)) as server:
        told = probe(server.endpoint, timeout_ms="1500")
        assert told["timeout"] and "authenticated" in told, told


def test_garbage():
    """Other services on the port, and hostile ones, would end the program or be taken for a gateway."""
    words = {
        b"SSH-2.0-OpenSSH_10.0\r\n": "does not speak TLS",
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n": "does not speak TLS",
        b"\0" * 70000: "does not speak TLS",
        b"\x16" * 70000: "broke the TLS protocol",
        b"\x16\x03\x03\xff\xff" + b"\x02" * 70000: "too large",
        b"\x16\x03\x03\x00\x04\x02\xff\xff\xff" * 9000: "too large",
        b"\x17\x03\x03\x00\x01\x00" * 9000: "does not speak TLS",
        b"\x14\x03\x03\x00\x01\x01" * 90000: "sends too much",
        b"\x15\x03\x03\x00\x02\x01\x00": "closed the connection",
        b"\x15\x03\x03\x00\x02\x02\x28": "speaks no TLS 1.3, or none that we do",
        b"\x15\x03\x03\x00\x02\x02\x50": "TLS alert 80",
    }
    for said, wanted in words.items():
        with tls.Peer(lambda connection, said=said: (connection.sendall(said), connection.recv(65536))) as peer:
            _, text = failure(probe(peer.endpoint))
            assert wanted in text, (said[:20], text)


def test_random_records():
    """The same, for whatever bytes a fuzzer on the wire may come up with."""
    # Deterministic: the same bytes in every run.
    for seed in range(40):
        noise = b"".join(bytes([0x14 + seed % 4, 3, 3, 0, 64 + seed]) + ((seed * 2654435761 + i) & (2**64 - 1)).to_bytes(8, "big") * (8 + seed // 8)
                         for i in range(20))
        with tls.Peer(lambda connection, noise=noise: (connection.recv(65536), connection.sendall(noise))) as peer:
            failure(probe(peer.endpoint))


def wire_total():
    """How much an honest gateway sends in one conversation."""
    _, gateway, _ = world()
    with tls.Server(gateway.certificate, gateway.key) as server, \
            tls.Wire(server.endpoint, lambda data, total: [data]) as wire:
        assert "answered" in probe(wire.endpoint)
    return wire.total


def test_cut_at_every_stage():
    """A flaky wire would end the program, or half of an answer would be taken for a whole one."""
    _, gateway, _ = world()
    total = wire_total()
    stages = set()
    for limit in sorted({*range(0, total, 97), *range(total - 30, total)}):
        def cut(data, before, limit=limit):
            return [data[:max(0, limit - before)], None] if before + len(data) > limit else [data]

        with tls.Server(gateway.certificate, gateway.key) as server, tls.Wire(server.endpoint, cut) as wire:
            told = probe(wire.endpoint)
        if "answered" in told:  # what was cut off came behind the answer
            assert limit >= total - 64, (limit, total)
            continue
        code, text = failure(told)
        assert code == "unreachable", told
        stages.add((("authenticated" in told), text))
    assert {authenticated for authenticated, _ in stages} == {False, True}, stages


def test_altered_at_every_stage():
    """Whoever is on the wire could change what the gateway says."""
    _, gateway, _ = world()
    total = wire_total()
    for at in range(0, total, 61):
        def alter(data, before, at=at):
            if before <= at < before + len(data):
                data = data[:at - before] + bytes([data[at - before] ^ 0x10]) + data[at - before + 1:]
            return [data]

        with tls.Server(gateway.certificate, gateway.key) as server, tls.Wire(server.endpoint, alter) as wire:
            told = probe(wire.endpoint, timeout_ms="1000")  # an altered length may leave both waiting
            if "answered" in told:  # only what carries nothing may be changed: a record's version, a ticket
                assert told["answered"] == {"status": 200, "body": "hello"}, told
            elif "authenticated" not in told:
                assert server.requests == []


def test_one_byte_at_a_time():
    """A slow or fragmenting wire would look like a broken gateway."""
    _, gateway, _ = world()
    with tls.Server(gateway.certificate, gateway.key) as server, \
            tls.Wire(server.endpoint, lambda data, total: [bytes([byte]) for byte in data]) as wire:
        assert probe(wire.endpoint)["answered"]["status"] == 200


def answer_with(*pieces, close=True):
    """What the probe makes of an answer."""
    _, gateway, _ = world()

    def answer(connection, request):
        for piece in pieces:
            connection.sendall(piece)
        if close:
            connection.unwrap()

    with tls.Server(gateway.certificate, gateway.key, answer) as server:
        return probe(server.endpoint, timeout_ms="3000")


def test_answers_with_lying_lengths():
    """Half an answer would be taken for a whole one, or memory filled with one that never ends."""
    code, text = failure(answer_with(tls.http(200, b"short", length=500)))
    assert code == "unreachable" and "before its answer was complete" in text, text
    code, text = failure(answer_with(tls.http(200, b"long" * 100, length=5)))
    assert code == "invalid-data", text
    for length in ("52428800", "-1", "99999999999999999999", "0x10", "5, 5"):
        code, text = failure(answer_with(tls.http(200, b"hello", length=length)))
        assert code == "invalid-data", (length, text)
    endless = (b"x" * 65000 for _ in range(800))  # 50 MB
    code, text = failure(answer_with(b"HTTP/1.1 200 OK\r\nContent-Length: 262100\r\n\r\n", *endless))
    assert code == "invalid-data", text
    code, text = failure(answer_with(b"HTTP/1.1 200 OK\r\n", *(b"X-Header: %d\r\n" % i for i in range(5000))))
    assert code == "invalid-data", text


def test_answer_in_pieces():
    """An answer that comes as slowly as it can would not be understood."""
    told = answer_with(*(bytes([byte]) for byte in tls.http(202, b"waiting")))
    assert told["answered"] == {"status": 202, "body": "waiting"}, told
    body = b"y" * 200_000
    assert answer_with(tls.http(200, body))["answered"]["status"] == 200


def test_answer_before_the_request():
    """What somebody played in beforehand would be taken for the gateway's answer."""
    _, gateway, _ = world()

    class Hasty(tls.Server):
        def _converse(self, raw):
            connection = self.context.wrap_socket(raw, server_side=True)
            connection.sendall(tls.http(200, b"hasty"))
            connection.recv(65536)

    with Hasty(gateway.certificate, gateway.key) as server:
        told = probe(server.endpoint)
        # Both may cross on the wire: then it counts as an answer, which the proof in it must decide.
        assert told.get("failed", {}).get("text") == "the gateway answered before it was asked" \
            or told.get("answered", {}).get("body") == "hasty", told


def test_memory():
    """The agent would not fit into the machines that it is for."""
    _, gateway, _ = world()
    with tls.Server(gateway.certificate, gateway.key,
                    lambda connection, request: connection.sendall(tls.http(200, b"z" * 250_000))) as server:
        told = probe(server.endpoint)
    assert told["answered"]["status"] == 200 and 0 < told["peak_kib"] <= 4096, told
