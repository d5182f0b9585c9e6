"""A gateway that serves, over real TLS: the protocol, and what strangers may try at its edge.

    node or stranger ── 127.0.0.1:8443 ── fortros-gateway (Manage=no) ── SQLite
"""

import base64
import contextlib
import functools
import hashlib
import ipaddress
import os
import pathlib
import socket
import ssl
import struct
import tempfile
import time

from lib.gateway import ADDRESS, PORT, Site, answers_in, expect, read_all
from lib.org import openssl

BOOT_ID = "0123456789abcdef0123456789abcdef"
BODY = b'{"version":1,"boot_id":"%s"}' % BOOT_ID.encode()
MEMBER, STRANGER = 1000, 1001  # seeds
TIME_LIMIT_S = 120


@functools.cache
def world():
    """One site and one server for the whole file; test order does not matter to it."""
    site = Site(tempfile.mkdtemp(prefix="gateway."))
    server = site.start()
    with site.client() as node:
        answer = node.tell(f"enroll {MEMBER} {site.invite()}")
        assert answer["status"] == 200, answer
        site.member_key = answer["public_key"]
    return site, server


def site():
    return world()[0]


def plain_connection():
    site()
    return socket.create_connection((ADDRESS, PORT))


def head(*lines, length=len(BODY)):
    lines = ["POST /v1/join HTTP/1.1", f"Host: {site().org.gateway_name}", *lines]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def expect_still_serves():
    with site().client() as node:
        expect(node.tell(f"join {MEMBER}").get("status"), 200, "an honest node's join")


def expect_refused(request, status):
    answers = site().ask(request)
    expect([answer[0] for answer in answers], [status], f"the statuses for {request[:60]!r}")
    expect(answers[0][1].get("connection"), "close", "Connection of a refusal")
    assert "fortros-answer" not in answers[0][1]
    expect_still_serves()


# --- the protocol ---------------------------------------------------------------------------------

def test_a_node_enrols_and_joins():
    """Nobody could come in."""
    with site().client() as node:
        invite = site().invite()
        enrolled = node.tell(f"enroll 1 {invite}")
        expect((enrolled.get("status"), enrolled.get("proved")), (200, True), f"enrolment {enrolled}")
        expect(enrolled["hostname"], "client-1", "the hostname")
        joined = node.tell("join 1")
        expect(joined.get("overlay_address"), enrolled["overlay_address"], f"the address at the join {joined}")
        expect(joined["serial"], enrolled["serial"], "the attestation's serial at the join")
    assert enrolled["public_key"] in site().admin("node", "list")


def test_every_answer_carries_a_bootstrap_set():
    """A node would have to wait for a gateway at its next boot; a wrong set, it could not use."""
    signer = ssl.PEM_cert_to_DER_cert(site().org.signer.read_text(encoding="ascii"))
    assert len(signer) <= 640, f"a node has no room for a signer's certificate of {len(signer)} bytes"
    with site().client() as node:
        earliest = int(time.time())
        for told in node.tell(f"enroll 4 {site().invite()}"), node.tell("join 4"):
            expect(told.get("bootstrap_problem"), "", f"what the node says of the set in {told}")
            data = base64.b64decode(told["bootstrap"])
            message, r, s = data[:-64], data[-64:-32], data[-32:]
            verify_p256(site().org.signer, message, r, s)
            (magic, prefix, key, role, serial, not_after, policy, revocation, signer_id,
             peers) = struct.unpack_from(">20s6s32sBQQQQ8sB", message)
            expect(magic, b"fortros/bootstrap/v1", "the format")
            expect(prefix, ipaddress.IPv6Network(site().org.prefix).network_address.packed[:6], "the prefix")
            expect(key, base64.b64decode(told["public_key"]), "whom it is for")
            expect((role, policy, revocation, peers), (1, 1, 0, 1), "role, policy, revocation, peers")
            assert earliest <= serial <= time.time(), f"serial {serial}"
            expect(not_after, serial + 14 * 86400, "its end")
            expect(signer_id, hashlib.sha256(signer).digest()[:8], "the signer")
            expect(message[100:], base64.b64decode(site().gateway.wireguard_public) + struct.pack(
                ">BHBB4sH", 3, 25, 1, 4, bytes([192, 0, 2, 1]), 51820), "the gateway as a peer")


def verify_p256(certificate, message, r, s):
    """By openssl(1), which wants the two numbers in DER; it raises where they do not fit."""
    def integer(value):
        value = value.lstrip(b"\0")
        value = (b"\0" if value[:1] >= b"\x80" else b"") + value
        return bytes([2, len(value)]) + value

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "signature").write_bytes(
            bytes([0x30, len(integer(r) + integer(s))]) + integer(r) + integer(s))
        (folder / "message").write_bytes(message)
        (folder / "key.pem").write_text(
            openssl("x509", "-in", certificate, "-noout", "-pubkey"), encoding="ascii")
        openssl("dgst", "-sha256", "-verify", folder / "key.pem", "-signature", folder / "signature",
                folder / "message")


def test_a_spent_invite_admits_its_own_node_only():
    """A stolen image would be a key to the org, or a lost answer a locked-out node."""
    with site().client() as node:
        invite = site().invite()
        expect(node.tell(f"enroll 2 {invite}")["status"], 200, "the first enrolment")
        expect(node.tell(f"enroll 2 {invite}")["status"], 200, "the same node again")
        other = node.tell(f"enroll 3 {invite}")
        expect((other["status"], other.get("refusal"), other["proved"]), (401, "invite-invalid", True), "another node")


def test_an_unknown_node_is_told_so():
    """A node would not know that it has to enrol."""
    with site().client() as node:
        answer = node.tell(f"join {STRANGER}")
        expect((answer["status"], answer.get("refusal"), answer["proved"]), (401, "unknown-node", True), str(answer))


def test_bad_bodies_are_refused_under_proof():
    """A node's bug would look like an attack, or hurt the gateway."""
    with site().client() as node:
        for body in ("", "{", "[]", "[" * 8000, '{"version":1}', '{"version":1,"boot_id":7}', '{"a":1,"a":2}', "\0\1\2"):
            answer = node.tell(f"post {MEMBER} /v1/join {body}")
            expect((answer["status"], answer.get("refusal"), answer["proved"]), (400, "bad-request", True), repr(body))
    expect_still_serves()


def test_a_wrong_proof_is_the_same_401_for_every_key():
    """A stranger could ask which keys are members."""
    known = base64.urlsafe_b64encode(base64.b64decode(site().member_key)).decode().rstrip("=")
    unknown = base64.urlsafe_b64encode(os.urandom(31) + b"\0").decode().rstrip("=")
    low_order = base64.urlsafe_b64encode(bytes(32)).decode().rstrip("=")
    proof = base64.b64encode(bytes(32)).decode()
    requests = [head("Connection: close") + BODY]
    for key in (known, unknown, low_order, "garbage", ""):
        for wrong in (proof, proof[:-1], "", "garbage"):
            requests.append(head(f"Fortros-Node: {key}", f"Fortros-Proof: {wrong}", "Connection: close") + BODY)
        requests.append(head(f"Fortros-Node: {key}", f"Fortros-Node: {known}", f"Fortros-Proof: {proof}",
                             "Connection: close") + BODY)
    answers = [site().ask(request) for request in requests]
    expect(answers[0][0][0], 401, "the status without headers")
    for request, answer in zip(requests, answers):
        expect(answer, answers[0], f"the answer to {request!r}")


def test_other_targets_and_methods():
    """A misconfigured client would not learn what is wrong."""
    host = f"Host: {site().org.gateway_name}\r\nConnection: close\r\n\r\n"
    for line, status in (("GET / HTTP/1.1", 404), ("POST /v1/nothing HTTP/1.1", 404), ("GET /v1/join HTTP/1.1", 405),
                         ("DELETE /v1/enroll HTTP/1.1", 405)):
        (answer,) = site().ask(f"{line}\r\n{host}".encode())
        expect(answer[0], status, line)


# --- TLS ------------------------------------------------------------------------------------------

def test_tls_1_2_is_refused():
    """An attacker could talk both sides into an older protocol."""
    try:
        site().connect(maximum=ssl.TLSVersion.TLSv1_2).close()
    except ssl.SSLError as error:
        assert "version" in str(error).lower(), error
    else:
        raise AssertionError("TLS 1.2 was accepted")
    expect_still_serves()


def test_no_session_can_be_resumed():
    """A resumed session would skip the certificate, and with it revocation and rotation."""
    with site().connect() as tls:
        expect(tls.version(), "TLSv1.3", "the version")
        tls.sendall(head("Connection: close") + BODY)
        read_all(tls)
        # A ticket would have come with or before the answer.
        assert tls.session is None or not tls.session.has_ticket, "the gateway gave out a ticket"


# --- the edge -------------------------------------------------------------------------------------

def test_garbage_instead_of_tls():
    """A port scanner would end the gateway."""
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", bytes(1000), os.urandom(3000), b"\x16\x03\x01\xff\xff" + bytes(500), b""):
        with plain_connection() as plain:
            with contextlib.suppress(OSError):  # closed while we still talk
                plain.sendall(garbage)
                plain.shutdown(socket.SHUT_WR)
                while plain.recv(4096):
                    pass
    expect_still_serves()


def test_garbage_instead_of_http():
    """The same, by somebody who speaks TLS."""
    expect_refused(b"\x00\x01\x02\x03\r\n\r\n", 400)
    expect_refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400)
    expect_refused(b"POST /v1/join HTTP/1.0\r\nHost: x\r\n\r\n", 505)
    expect_refused(b"POST /v1/join HTTP/1.1\r\n\r\n", 400)
    expect_refused(b"POST /v1/join HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400)


def test_what_is_too_large_is_refused():
    """One client could take the gateway's memory."""
    expect_refused(head(length=32 * 1024 + 1), 413)
    expect_refused(head(length=50_000_000) + bytes(1_000_000), 413)
    expect_refused(head("X: " + "x" * 9000), 431)
    expect_refused(b"POST /" + b"x" * 100_000, 431)


def test_the_largest_body_is_read():
    """A legal request would be refused."""
    body = BODY[:-1] + b',"pad":"' + b"x" * (32 * 1024 - len(BODY) - 9) + b'"}'
    expect(len(body), 32 * 1024, "the body's size")
    (answer,) = site().ask(head("Connection: close", length=len(body)) + body)
    expect(answer[0], 401, "the status: no proof")


def test_lengths_that_can_be_misunderstood_are_refused():
    """Two readers of one stream could see two different requests in it."""
    expect_refused(head("Transfer-Encoding: chunked", length=None) + b"5\r\nhello\r\n0\r\n\r\n", 411)
    expect_refused(head("Transfer-Encoding: chunked") + BODY, 400)
    expect_refused(head("Transfer-Encoding: gzip", length=None), 411)
    expect_refused(head("Content-Length: 5") + BODY, 400)
    expect_refused(head(length="-1"), 400)
    expect_refused(head(length="0x10"), 400)
    expect_refused(head("Content-Encoding: gzip") + BODY, 415)


def test_several_requests_on_one_connection():
    """A maintainer would need a new handshake for each question."""
    request = head() + BODY
    statuses = [answer[0] for answer in site().ask(request * 3 + head("Connection: close") + BODY)]
    expect(statuses, [401] * 4, "the statuses of pipelined requests")


def test_a_request_in_small_pieces():
    """A slow link would be taken for an attack."""
    with site().connect() as tls:
        for byte in head("Connection: close") + BODY:
            tls.sendall(bytes([byte]))
        expect([answer[0] for answer in answers_in(read_all(tls))], [401], "the status")


def test_slow_and_silent_clients_are_closed():
    """They would take all connections, and nobody could join."""
    silent = plain_connection()
    half_handshake = plain_connection()
    half_handshake.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
    idle, slow_head, slow_body = site().connect(), site().connect(), site().connect()
    slow_head.sendall(b"POST /v1/join HT")
    slow_body.sendall(head() + BODY[:5])
    expect_still_serves()
    for name, connection in (("silent", silent), ("half a handshake", half_handshake), ("idle", idle),
                             ("half a head", slow_head), ("half a body", slow_body)):
        connection.settimeout(60)
        with connection:
            try:
                expect(connection.recv(100), b"", f"what a client gets that is {name}")
            except (ConnectionResetError, ssl.SSLEOFError):
                pass  # closed as well
    expect_still_serves()


def test_a_byte_now_and_then_does_not_extend_a_deadline():
    """One byte a second would hold a connection for hours."""
    with site().connect() as tls:
        tls.sendall(b"POST /v1/join HTTP/1.1\r\nX: ")
        tls.settimeout(0.5)
        for _ in range(120):
            try:
                tls.sendall(b"x")
                if tls.recv(100) == b"":
                    return
            except TimeoutError:
                continue
            except OSError:
                return
        raise AssertionError("still open after 120 bytes and 60 seconds")


def test_many_idle_connections_leave_room():
    """A few hundred idle clients would keep everybody else out."""
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(plain_connection())
        expect_still_serves()


# --- what it leaves behind ------------------------------------------------------------------------

def test_no_secret_is_in_the_log_or_the_database():
    """Who reads a backup or a log would have an invite or a key."""
    invite = site().invite()
    with site().client() as node:
        node.tell(f"enroll 50 {invite}")
        node.tell(f"enroll 51 {invite}")
        node.tell(f'post 52 /v1/enroll {{"version":1,"boot_id":"{BOOT_ID}","invite":"{invite}","hostname":7}}')
    secrets = [invite.removeprefix("fortros-invite-v1-").encode()]
    for file in ("wireguard.key", "gateway.key", "signer.key"):
        secrets += [line.encode() for line in (site().home / file).read_text().split("\n")
                    if len(line) > 30 and "-----" not in line]
    kept = world()[1].log.encode() + b"".join(path.read_bytes() for path in site().database.parent.iterdir())
    for secret in secrets:
        assert secret not in kept, "a secret was found"
        raw = base64.b64decode(secret + b"=" * (-len(secret) % 4), altchars=b"-_" if b"-" in secret or b"_" in secret else None)
        assert raw not in kept, "a decoded secret was found"


def test_sigterm_ends_it_at_once_and_cleanly():
    """A restart would cut off a node in the middle of its enrolment, or take for ever."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="gateway."))
    other = Site(folder, org=site().org)
    other.settings.write_text(other.settings.read_text().replace(str(PORT), "8444"))
    with other.start() as server, socket.create_connection((ADDRESS, 8444)):
        expect(server.stop(), 0, "the exit code")
        assert "event=stopped" in server.log
