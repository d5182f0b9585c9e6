"""The operating lane of a gateway that serves: whether it lives, whether it can do its work, its numbers.

    nodes ── 127.0.0.1:8443 ── fortros-gateway (Manage=no) ── operate (a socket) ── operators
"""

import contextlib
import datetime
import functools
import pathlib
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import tempfile

from lib.gateway import ADDRESS, PROGRAM, Site, answers_in, read_all

TIME_LIMIT_S = 180
MEMBER = 1
OWN_PORT = 8445  # of gateways beside the one that most tests share
OPENMETRICS = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
DEFAULT_PORT = 9543
CROWD = 400  # of nodes that knock at once
IDLERS = 40  # more than the lane has places


@functools.cache
def world():
    """One site and one server for the tests that do not need their own, and a member."""
    site = Site(tempfile.mkdtemp(prefix="operate."))
    server = site.start()
    with site.client() as node:
        assert node.tell(f"enroll {MEMBER} {site.invite()}")["status"] == 200
    return site, server


def site():
    return world()[0]


def new_site():
    return Site(tempfile.mkdtemp(prefix="operate."), port=OWN_PORT)


@contextlib.contextmanager
def own_site():
    made = new_site()
    with made.start() as server:
        yield made, server


def promtool(*words, text):
    done = subprocess.run(["promtool", *map(str, words)], input=text, text=True, capture_output=True, timeout=60,
                          check=False)
    assert done.returncode == 0 and not done.stderr, f"promtool: {done.stdout}{done.stderr}\n{text}"


# --- what it says ---------------------------------------------------------------------------------

def test_a_gateway_that_serves_is_alive_and_ready():
    """A load balancer would take it out of service, or a supervisor start it again and again."""
    status, headers, body = site().ask_as_operator("/healthz")
    assert (status, body) == (200, "ok\n") and headers["content-type"].startswith("text/plain")
    status, _, body = site().ask_as_operator("/readyz")
    assert status == 200, body
    assert body.splitlines() == [f"{name}: ok" for name in ("serving", "registry", "tunnels", "relay", "certificates")]


def test_a_registry_that_cannot_be_read_is_named():
    """Nodes would be sent to a gateway that can only refuse them."""
    with own_site() as (broken, _):
        database = sqlite3.connect(broken.database, isolation_level=None, timeout=30)
        with contextlib.closing(database):
            database.execute("ALTER TABLE nodes RENAME TO gone")
            status, _, body = broken.ask_as_operator("/readyz")
            assert status == 503 and re.search(r"^registry: .*nodes", body, re.M), body
            assert broken.ask_as_operator("/healthz")[0] == 200
            numbers = broken.metrics()
            assert numbers['fortros_gateway_ready{check="registry"}'] == 0
            assert "fortros_gateway_members" not in numbers, "nothing is not nought"
            database.execute("ALTER TABLE gone RENAME TO nodes")
        # What the tunnels are behind with is looked at once a second.
        assert "registry: ok\n" in broken.ask_as_operator("/readyz")[2]


def test_an_expired_certificate_is_named():
    """Nodes would refuse this gateway while its operators believe that all is well."""
    made = new_site()
    made.org.forge(made.gateway, begin=datetime.timedelta(days=-9), end=datetime.timedelta(days=-1))
    with made.start():
        status, _, body = made.ask_as_operator("/readyz")
        assert status == 503 and re.search(r"^certificates: .*gateway.pem.* expired", body, re.M), body
        assert "registry: ok" in body


def test_a_disowned_signer_is_named():
    """The gateway would refuse every node, and its operators wonder why."""
    with own_site() as (made, _):
        # What an admin says at another gateway, with a newer signer.
        with contextlib.closing(sqlite3.connect(made.database, isolation_level=None, timeout=30)) as database:
            database.execute("UPDATE policy SET signers_since = signers_since + 4000000000, serial = serial + 1")
        status, _, body = made.ask_as_operator("/readyz")
        assert status == 503 and re.search(r"^certificates: .*disowned", body, re.M), body


def test_what_is_not_there_is_refused():
    """A typing mistake in a probe would be a gateway that is always well."""
    assert site().ask_as_operator("/")[0] == 404
    assert site().ask_as_operator("/health")[0] == 404
    status, headers, _ = site().ask_as_operator("/metrics", "Content-Length: 0", method="POST")
    assert status == 405 and headers["allow"] == "GET"
    assert site().ask_as_operator("/metrics", "Content-Length: 9", method="GET")[0] == 413
    with site().connect_as_operator() as plain:
        plain.sendall(b"\x16\x03\x01 what is this\r\n\r\n")
        ((status, _, _),) = answers_in(read_all(plain))
    assert status == 400
    assert site().ask_as_operator("/healthz")[0] == 200


def test_nodes_are_not_told():
    """Anybody on the internet could read how many members an organisation has."""
    for path in ("/metrics", "/readyz", "/healthz"):
        request = f"GET {path} HTTP/1.1\r\nHost: {site().org.gateway_name}\r\nConnection: close\r\n\r\n"
        ((status, _, body),) = site().ask(request.encode())
        assert status == 404 and b"fortros_gateway" not in body, (path, status)


# --- numbers --------------------------------------------------------------------------------------

def test_prometheus_understands_the_numbers():
    """They would be in no graph and no alert."""
    status, headers, text = site().ask_as_operator("/metrics")
    assert status == 200 and headers["content-type"].startswith("text/plain; version=0.0.4")
    promtool("check", "metrics", text=text)


def test_open_metrics_are_understood():
    """Prometheus asks for this form first, and would mark the gateway as down."""
    status, headers, text = site().ask_as_operator("/metrics", OPENMETRICS)
    assert status == 200 and headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith("\n# EOF\n")
    # The one of Prometheus' parsers of this form that a command gives to us wants a time with each sample.
    dated = re.sub(r"^([^#].*)$", r"\1 1700000000", text, flags=re.M)
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "metrics"
        file.write_text(dated, encoding="utf-8")
        done = subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", file, folder], text=True,
                              capture_output=True, timeout=60, check=False)
        print(done.stdout, done.stderr)
        assert done.returncode == 0, done.stderr
        (pathlib.Path(folder) / "wal").mkdir()  # what a server would have made
        dump = subprocess.run(["promtool", "tsdb", "dump", f"--sandbox-dir-root={folder}", folder], text=True,
                              stdout=subprocess.PIPE, timeout=60, check=True).stdout
    names = set(re.findall(r'__name__="(\w+)"', dump))
    assert names == {re.split(r"[{ ]", line)[0] for line in text.splitlines() if not line.startswith("#")}


def test_the_numbers_are_those_of_what_has_happened():
    """An operator would look at a graph of something else."""
    with own_site() as (made, _), made.client() as node, made.client() as other:
        before = made.metrics()
        assert before["fortros_gateway_members"] == 0
        assert node.tell(f"enroll 1 {made.invite()}")["status"] == 200
        assert node.tell("join 1")["status"] == 200
        assert node.tell("join 2")["status"] == 401
        assert other.tell(f"enroll 3 {made.invite(approval='yes')}")["status"] == 202
        page = node.tell("get 1 /v1/members?since=0&document=0")
        assert page["status"] == 200
        # Who has its answer and stays is between two requests.
        with made.connect() as idle:
            idle.sendall(f"GET /what?ever HTTP/1.1\r\nHost: {made.org.gateway_name}\r\n\r\n".encode())
            assert answers_in(idle.recv(65536))[0][0] == 404
            now = made.metrics()
        expected = {
            "fortros_gateway_enrolments_total": 1, "fortros_gateway_joins_total": 1,
            "fortros_gateway_approvals_asked_total": 1, "fortros_gateway_members": 1,
            "fortros_gateway_waiting_nodes": 1, "fortros_gateway_wireguard_peers": 0,
            'fortros_gateway_requests_total{target="/v1/enroll",status="200"}': 1,
            'fortros_gateway_requests_total{target="/v1/enroll",status="202"}': 1,
            'fortros_gateway_requests_total{target="/v1/join",status="200"}': 1,
            'fortros_gateway_requests_total{target="/v1/join",status="401"}': 1,
            'fortros_gateway_requests_total{target="/v1/members",status="200"}': 1,
            'fortros_gateway_requests_total{target="other",status="404"}': 1,
            'fortros_gateway_refusals_total{code="unknown-node"}': 1,
            'fortros_gateway_refusals_total{code="approval-pending"}': 1,
            'fortros_gateway_connections{state="reading"}': 1, "fortros_gateway_feed_pollers": 0,
            "fortros_gateway_write_queue_length": 0, "fortros_gateway_door_waiting": 0,
            'fortros_gateway_ready{check="certificates"}': 1,
            'fortros_gateway_connection_failures_total{reason="bad-request"}': 0,
        }
        wrong = {name: now.get(name) for name, value in expected.items() if now.get(name) != value}
        assert not wrong, wrong
        assert now["fortros_gateway_handshakes_total"] == now["fortros_gateway_connections_accepted_total"] > 1
        assert now["fortros_gateway_registry_revision"] > before["fortros_gateway_registry_revision"]
        ends = [name for name in now if name.startswith("fortros_gateway_certificate_expiry")]
        assert len(ends) == 3, ends


def test_failed_handshakes_and_bad_requests_are_counted():
    """A wrong certificate on every node, or an attack, would be in no graph."""
    with own_site() as (made, _):
        with socket.create_connection((ADDRESS, made.port)) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                read_all(plain)
        made.ask(b"nonsense\r\n\r\n")
        now = made.metrics()
        assert now['fortros_gateway_connection_failures_total{reason="handshake-failed"}'] == 1, now
        assert now['fortros_gateway_connection_failures_total{reason="bad-request"}'] == 1, now


# --- a lane of its own ----------------------------------------------------------------------------

def client_hello():
    """The first bytes of a TLS client, which mean a handshake to a server."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(into, out).do_handshake()
    return out.read()


def test_operators_come_before_a_crowd_of_nodes():
    """Just when everybody comes at once, nobody could see what the gateway is at."""
    with own_site() as (made, server), contextlib.ExitStack() as stack:
        hello = client_hello()
        # It sees all of them at once when it goes on: whom it serves first is its own choice.
        server.process.send_signal(signal.SIGSTOP)
        for _ in range(CROWD):
            knocking = stack.enter_context(socket.create_connection((ADDRESS, made.port)))
            knocking.sendall(hello)
        with made.connect_as_operator() as operator:
            operator.sendall(b"GET /metrics HTTP/1.1\r\nHost: gateway\r\n\r\n")
            server.process.send_signal(signal.SIGCONT)
            ((status, _, body),) = answers_in(read_all(operator))
        assert status == 200
        text = body.decode()
        accepted = int(re.search(r"^fortros_gateway_connections_accepted_total (\d+)$", text, re.M)[1])
        handshakes = int(re.search(r"^fortros_gateway_handshakes_total (\d+)$", text, re.M)[1])
        print(f"when the operator was answered: {accepted} accepted, {handshakes} handshakes")
        assert accepted < CROWD / 2 and handshakes == 0, (accepted, handshakes)


def test_silent_operators_do_not_lock_others_out():
    """A probe that hangs would blind the whole monitoring."""
    with contextlib.ExitStack() as stack:
        for _ in range(IDLERS):
            idler = stack.enter_context(site().connect_as_operator())
            idler.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert site().ask_as_operator("/healthz")[0] == 200


def test_who_asks_byte_by_byte_is_answered_too():
    """The lane would work with one client only."""
    with site().connect_as_operator() as plain:
        for byte in b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n":
            plain.sendall(bytes([byte]))
        ((status, _, body),) = answers_in(read_all(plain))
    assert (status, body) == (200, b"ok\n")


def test_by_default_it_is_this_host_alone_that_may_ask():
    """What has no TLS and asks nobody who he is would be open to the overlay, or to the internet."""
    made = new_site()
    text = made.settings.read_text(encoding="ascii")
    made.settings.write_text(text.replace(f"[Operate]\nListen={made.operate}\n", ""), encoding="ascii")
    assert f"for operators    {ADDRESS}:{DEFAULT_PORT}" in made.admin("check")
    with made.start(), socket.create_connection((ADDRESS, DEFAULT_PORT)) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        ((status, _, _),) = answers_in(read_all(plain))
        assert status == 200
        listening = subprocess.run(["ss", "-Hltn", f"sport = :{DEFAULT_PORT}"], text=True, capture_output=True,
                                   check=True).stdout.split()
        assert listening[3] == f"{ADDRESS}:{DEFAULT_PORT}" and listening.count("LISTEN") == 1, listening


def test_a_socket_that_was_left_behind_is_replaced_and_a_living_one_is_not():
    """After a crash no gateway would start any more; or two would believe that they are asked."""
    with own_site() as (made, server):
        assert made.operate.stat().st_mode & 0o777 == 0o600
        other = made.home / "other.conf"
        other.write_text(made.settings.read_text().replace(f":{made.port}", f":{made.port + 1}"), encoding="ascii")
        second = subprocess.run([PROGRAM, "serve", "--config", other], text=True, capture_output=True,
                                stdin=subprocess.DEVNULL, timeout=60, check=False)
        assert second.returncode == 6 and "there is something already" in second.stderr, second.stderr
        assert made.ask_as_operator("/healthz")[0] == 200
        server.kill()
        assert made.operate.is_socket()
        with made.start():
            assert made.ask_as_operator("/healthz")[0] == 200
