"""The attack matrix, fifth part: what a peer may do below the answer, in TCP and in TLS. Before authentication
he must learn nothing; afterwards he must gain nothing."""

import contextlib
import functools
import socket
import struct
import threading

from lib import tls
from lib.attack import ATTACKER, HONEST, Boot, attacker, disbelieved, fresh, refused, world
from lib.discovery import NAME
from lib.netns import READY_LIMIT_S
from lib.rogue import Rogue

SUITES = {0x1301: "AES-128", 0x1302: "AES-256", 0x1303: "ChaCha20"}
BEHIND = 444  # a port of the attacker that no node is told of
NO_RENEGOTIATION = 0x00ff
IMPATIENCE = "AttemptTimeout=2s"
TOO_SLOW = "did not authenticate within 2.0 s"
CLOSED = "the peer closed the connection during the TLS handshake"
# TLS 1.3 handshake messages (RFC 8446 section 4).
HELLO_REQUEST, CLIENT_HELLO, SERVER_HELLO, TICKET = 0, 1, 2, 4
CERTIFICATE, CERTIFICATE_REQUEST, FINISHED, KEY_UPDATE = 11, 13, 20, 24
CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA = 20, 21, 22, 23


class Heard:
    """A connection, and all that came over it."""

    def __init__(self, connection):
        self._connection = connection
        self.sendall = connection.sendall
        self.data = b""

    def recv(self, size):
        piece = self._connection.recv(size)
        self.data += piece
        return piece


class Anything(tls.Peer):
    """Whatever listens at the attacker's address and is no gateway; `received` is what it was told beside the
    beginning of TLS, over each of the connections that have `gone`."""

    def __init__(self, talk):
        super().__init__(self._hear_out, listening=listener())
        self._say = talk
        self._changed = threading.Condition()
        self.gone = 0
        self.received = []

    def _hear_out(self, connection):
        heard = Heard(connection)
        for step in (lambda: self._say(heard), lambda: connection.shutdown(socket.SHUT_WR), lambda: read_all(heard)):
            with contextlib.suppress(OSError):  # the node went away first
                step()
        with self._changed:
            self.gone += 1
            self.received += beside_tls(heard.data)
            self._changed.notify_all()

    def wait_for_ends(self, count):
        with self._changed:
            there = self._changed.wait_for(lambda: self.gone >= count, READY_LIMIT_S)
        assert there, f"{self.gone} connections have ended, not {count}"


def beside_tls(data):
    """What is in it beside one client hello and the alert of whoever gives up."""
    if data[:1] == bytes([HANDSHAKE]) and data[5:6] in (b"", bytes([CLIENT_HELLO])):
        data = data[5 + int.from_bytes(data[3:5]):]
    while data.startswith(bytes([ALERT, 3, 3, 0, 2])):
        data = data[7:]
    return [data] if data else []


def listener():
    made = world().router.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((ATTACKER, 443))
    made.listen()
    return made


def read_all(connection):
    data = b""
    while piece := connection.recv(65536):
        data += piece
    return data


def message(kind, body):
    return bytes([kind]) + struct.pack(">I", len(body))[1:] + body


# --- before authentication -------------------------------------------------------------------------

def test_tls_1_2_only():
    """Whoever is on the wire could choose a protocol with known holes."""
    with attacker(fresh(), "tls1.2") as rogue:
        refused(rogue, "the peer speaks no TLS 1.3")


def test_what_is_no_tls():
    """Other services on the port, and hostile ones, would end the program or pass for a gateway."""
    for said, words in ((b"SSH-2.0-OpenSSH_10.0\r\n", "the peer does not speak TLS"),
                        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "the peer does not speak TLS"),
                        (b"\x16\x03\x03\xff\xff" + b"\x02" * 70_000, "the peer sends a TLS message that is too large"),
                        (b"\x14\x03\x03\x00\x01\x01" * 90_000, "the peer sends too much"),
                        (b"\x15\x03\x03\x00\x02\x02\x50", "the peer broke off TLS: TLS alert 80"),
                        (b"\x15\x03\x03\x00\x02\x01\x00", CLOSED)):
        def talk(connection, said=said):
            connection.recv(1)
            connection.sendall(said)
            read_all(connection)

        with Anything(talk) as anything:
            refused(anything, words, code="unreachable" if words == CLOSED else "untrusted")


def test_silence():
    """A peer that takes connections and says nothing would hold a node until its budget is over."""
    with Anything(read_all) as anything:
        refused(anything, TOO_SLOW, IMPATIENCE, code="timeout")


def test_one_byte_a_second():
    """A peer that drips would be waited for as long as it likes."""
    stop = threading.Event()

    def talk(connection):
        connection.recv(65536)
        for byte in b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03" + bytes(200):
            connection.sendall(bytes([byte]))
            if stop.wait(1):
                return

    with Anything(talk) as anything:
        refused(anything, TOO_SLOW, IMPATIENCE, code="timeout")
        stop.set()


def connect(to):
    made = world().router.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.connect(to)
    return made


def in_the_middle(rogue, forward):
    """A wire between the node and the rogue, which does what it likes with the bytes."""
    return tls.Wire(rogue.endpoint, forward, listening=listener(), connect=connect)


def test_closing_at_each_stage_of_the_handshake():
    """A peer that goes away would end the program, or pass for one that has proved itself."""
    behind = functools.partial(Rogue, world(), ATTACKER, port=BEHIND)
    with behind(fresh().folder, answer=lambda asked: "cut") as rogue, in_the_middle(rogue, lambda data, _: [data]) as wire:
        with Boot(ATTACKER) as boot:
            boot.gave_up()
        total = wire.total // len(rogue.handshakes)
    # The signature in it is a few bytes longer or shorter each time.
    for limit in sorted({*range(0, total, 200), 1, 5, total - 8}):
        def cut(data, before, limit=limit):
            return [data[:max(0, limit - before)], None] if before + len(data) > limit else [data]

        with behind(fresh().folder) as rogue:
            with in_the_middle(rogue, cut):
                refused(rogue, CLOSED, code="unreachable")


def test_the_client_hello():
    """It is all that a stranger gets: it must name the gateway and nothing of the node, and offer nothing old."""
    heard = []

    def talk(connection):
        heard.append(connection.recv(65536))

    with Anything(talk) as anything:
        refused(anything, CLOSED, code="unreachable")
    hello = Hello(heard[0])
    assert set(hello.suites) - {NO_RENEGOTIATION} == set(SUITES), hello.suites
    assert hello.versions == [0x0304]
    assert hello.extensions[0][5:].decode() == NAME
    # ALPN, early data, pre-shared key, cookie, post-handshake authentication: none is offered.
    assert not {16, 42, 41, 44, 49} & set(hello.extensions), sorted(hello.extensions)
    again = Hello(heard[1])
    assert again.random != hello.random and again.session != hello.session
    has_aes = any(line.startswith("flags") and " aes " in line + " " for line in open("/proc/cpuinfo", encoding="utf-8"))
    assert SUITES[hello.suites[0]] == ("AES-128" if has_aes else "ChaCha20")


class Hello:
    def __init__(self, record):
        assert record[0] == HANDSHAKE and record[5] == CLIENT_HELLO
        body = record[9:]
        self.random = body[2:34]
        at = 35 + body[34]
        self.session = body[35:at]
        size, = struct.unpack_from(">H", body, at)
        self.suites = list(struct.unpack_from(f">{size // 2}H", body, at + 2))
        at += 2 + size + 2 + 2
        self.extensions = {}
        while at < len(body):
            kind, size = struct.unpack_from(">HH", body, at)
            self.extensions[kind] = body[at + 4:at + 4 + size]
            at += 4 + size
        offered = self.extensions[43]
        self.versions = list(struct.unpack(f">{offered[0] // 2}H", offered[1:]))


# --- the handshake of the right peer ---------------------------------------------------------------

def enrols(*options, answer=lambda asked: asked.prove(200, asked.honest)):
    with attacker(fresh(), *options, answer=answer) as rogue, Boot(ATTACKER) as boot:
        boot.enrolled()
    return rogue


def test_hello_retry_request():
    """A gateway whose TLS wants another group would be out of reach."""
    for group in ("X25519", "P-384", "P-256"):
        enrols("group=" + group)


def test_each_cipher_suite():
    """The same for one that allows a single cipher."""
    for suite in ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"):
        assert enrols("suite=" + suite).handshakes[0]["suite"] == suite


def test_no_group_in_common():
    """A peer that wants a curve which we do not speak is none of ours."""
    with attacker(fresh(), "group=P-521") as rogue:
        refused(rogue, "the peer speaks no TLS 1.3, or none that we do")


def test_resumption_is_not_taken():
    """A session that is taken up again skips the certificate: a CA that was replaced would still do."""
    with attacker(fresh(), "tickets=4", answer=lambda asked: asked.send(b"no HTTP\r\n\r\n")) as rogue, \
            Boot(ATTACKER) as boot:
        boot.process.wait_for("not a usable HTTP answer")
        first = len(boot.process.lines)
        boot.process.wait_for("not a usable HTTP answer", after=first)
        rogue.wait_for_handshakes(2)
    assert not any(told["resumed"] for told in rogue.handshakes)


def test_an_answer_before_the_request():
    """What was played in beforehand would pass for the answer; and the request would go to who did so."""
    with attacker(fresh(), "eager", answer=lambda asked: asked.send(tls.http(200, b"{}"))) as rogue, \
            Boot(ATTACKER, HONEST) as boot:
        # Both may cross on the wire: then the missing proof decides.
        assert any(words in boot.gave_up() for words in ("the gateway answered before it was asked", "does not prove possession"))
        boot.enrolled()
    assert all(boot.invite.encode() not in data for data in rogue.received)


# --- after authentication --------------------------------------------------------------------------

def after(kind, data, words, count=1):
    """Records that a node has not asked for, then an honest answer: refused before it comes to that."""
    def answer(asked):
        if asked.record(kind, data, count):
            asked.record(APPLICATION_DATA, asked.http(asked.honest))

    with attacker(fresh(), "suite=TLS_AES_128_GCM_SHA256", answer=answer) as rogue:
        disbelieved(rogue, words)


BROKE = "the gateway broke the TLS protocol"


def some_ticket(size=64):
    return message(TICKET, struct.pack(">II", 7200, 1) + b"\1\0" + struct.pack(">H", size) + bytes(size) + b"\0\0")


def test_records_of_our_own_making():
    """Every test below would pass with an agent that reads no such record at all."""
    def answer(asked):
        asked.record(HANDSHAKE, some_ticket(), 2)
        asked.record(APPLICATION_DATA, b"", 3)  # allowed, and means nothing (RFC 8446 section 5.4)
        asked.record(APPLICATION_DATA, asked.http(asked.honest))

    enrols("suite=TLS_AES_128_GCM_SHA256", answer=answer)


def test_renegotiation():
    """TLS 1.3 has none; one that is obeyed would change who the peer is."""
    after(HANDSHAKE, message(HELLO_REQUEST, b""), BROKE)
    after(HANDSHAKE, message(CLIENT_HELLO, bytes(50)), BROKE)
    after(HANDSHAKE, message(SERVER_HELLO, bytes(50)), BROKE)


def test_certificates_after_the_handshake():
    """A second certificate would be checked by nobody, and a request for ours answered by chance."""
    after(HANDSHAKE, message(CERTIFICATE, bytes(40)), BROKE)
    after(HANDSHAKE, message(CERTIFICATE_REQUEST, b"\0" + b"\0\x08" + b"\0\x0d\0\4\0\2\4\3"), BROKE)
    after(HANDSHAKE, message(FINISHED, bytes(32)), BROKE)
    after(HANDSHAKE, message(99, b"?"), BROKE)


def test_key_updates():
    """Without end they would keep a node busy, each with a new key to derive."""
    after(HANDSHAKE, message(KEY_UPDATE, b"\0"), BROKE)
    after(HANDSHAKE, message(KEY_UPDATE, b"\1"), BROKE, count=5_000)
    after(HANDSHAKE, message(KEY_UPDATE, b"\7"), BROKE)


def test_tickets_without_end():
    """A node would be kept busy with what it throws away."""
    after(HANDSHAKE, some_ticket(), "the peer sends too much", count=20_000)


def test_warnings_without_end():
    """The same with alerts, which TLS 1.3 takes for the end."""
    after(ALERT, b"\1\x5a", "the peer sends too much", count=60_000)


def test_empty_records_without_end():
    """The same with records that hold nothing."""
    after(APPLICATION_DATA, b"", BROKE, count=60_000)


def test_altered_records():
    """Whoever is on the wire could change what the gateway says."""
    def answer(asked):
        asked.raw(b"\x17\x03\x03\x00\x40" + bytes(64))

    with attacker(fresh(), answer=answer) as rogue:
        disbelieved(rogue, BROKE)


def test_plaintext_after_the_handshake():
    """The same in the clear."""
    def answer(asked):
        asked.raw(b"\x16\x03\x03\x00\x04" + message(HELLO_REQUEST, b""))

    with attacker(fresh(), answer=answer) as rogue:
        disbelieved(rogue, BROKE)
