"""A gateway under a service manager: sockets that it is given, and what it tells. The manager is
systemd's own program for one service's sockets, and a socket of ours that hears what a service says.

    nodes, operators ── systemd-socket-activate ── fortros-gateway serve ──▶ $NOTIFY_SOCKET
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading

from lib.gateway import ADDRESS, END_LIMIT_S, PROGRAM, Site, answers_in, read_all

TIME_LIMIT_S = 120
GIVEN_PORT = 8555


class Manager:
    """Hears what a service tells; starts it by systemd-socket-activate, or as it is."""

    def __init__(self, site):
        self.site = site
        self.path = site.folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(END_LIMIT_S)
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.socket.close()

    def start(self, *sockets, names=None, watchdog=False):
        environment = {"NOTIFY_SOCKET": str(self.path)}
        if watchdog:
            environment["WATCHDOG_USEC"] = "60000000"
        words = [PROGRAM, "serve", "--config", self.site.settings]
        if sockets:
            given = [f"--setenv={name}={value}" for name, value in environment.items()]
            words = ["systemd-socket-activate", *(f"--listen={place}" for place in sockets),
                     *([f"--fdname={names}"] if names else []), *given, *words]
        self.process = subprocess.Popen(list(map(str, words)), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True, env=os.environ | environment)
        self.lines = []
        self.listening = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if sockets:
            assert self.listening.wait(END_LIMIT_S), "systemd-socket-activate does not listen"

    def _read(self):
        for line in self.process.stderr:
            print(line, end="", flush=True)
            self.lines.append(line)
            if line.startswith("Listening on"):
                self.listening.set()

    def hear(self):
        """What it tells next: {word: value}."""
        said = self.socket.recv(4096).decode()
        print("told:", repr(said), flush=True)
        return dict(line.split("=", 1) for line in said.splitlines())

    def hear_until(self, word):
        while word not in (said := self.hear()):
            pass
        return said

    def wait(self):
        status = self.process.wait(END_LIMIT_S)
        self.reader.join(END_LIMIT_S)
        return status, "".join(self.lines)


@contextlib.contextmanager
def managed():
    site = Site(tempfile.mkdtemp(prefix="service."))
    with Manager(site) as manager:
        yield site, manager


def ask(connection):
    with connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n")
        ((status, _, _),) = answers_in(read_all(connection))
        return status


def test_it_says_when_it_is_ready_reloads_and_stops():
    """Whatever is ordered after it would begin too early, and a reload would count before it is done."""
    with managed() as (site, manager):
        manager.start()
        ready = manager.hear()
        assert ready["READY"] == "1" and f"{ADDRESS}:{site.port}" in ready["STATUS"], ready
        assert site.ask_as_operator("/readyz")[0] == 200, "ready is ready"
        manager.process.send_signal(signal.SIGHUP)
        reloading = manager.hear()
        assert reloading["RELOADING"] == "1" and int(reloading["MONOTONIC_USEC"]) > 0, reloading
        assert manager.hear()["READY"] == "1"
        good = site.gateway.certificate.read_bytes()
        site.gateway.certificate.write_bytes(b"garbage")
        manager.process.send_signal(signal.SIGHUP)
        assert "RELOADING" in manager.hear()
        failed = manager.hear()
        assert failed["READY"] == "1" and "not reloaded" in failed["STATUS"], failed
        site.gateway.certificate.write_bytes(good)
        manager.process.send_signal(signal.SIGTERM)
        assert manager.hear()["STOPPING"] == "1"
        assert manager.wait()[0] == 0


def test_it_feeds_a_watchdog():
    """A gateway that hangs would hang until somebody looks."""
    with managed() as (_, manager):
        manager.start(watchdog=True)
        assert manager.hear_until("READY")
        for _ in range(2):
            assert manager.hear_until("WATCHDOG")["WATCHDOG"] == "1"


def test_it_takes_the_sockets_that_it_is_given():
    """Nodes would be refused while it is restarted, and it would need the right to take a low port."""
    with managed() as (site, manager):
        given = site.folder / "given"
        manager.start(f"{ADDRESS}:{GIVEN_PORT}", given, names="nodes:operate")
        # The first connection is what it is started for; it is served, too.
        first = socket.socket(socket.AF_UNIX)
        first.connect(str(given))
        assert manager.hear()["READY"] == "1"
        assert ask(first) == 200
        serving = next(line for line in manager.lines if "event=serving" in line)
        assert re.search(rf"serves on {ADDRESS}:{GIVEN_PORT}, for operators on {given}", serving), serving
        own_port, site.port = site.port, GIVEN_PORT
        with site.client() as node:
            assert node.tell(f"enroll 1 {site.invite()}")["status"] == 200
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection((ADDRESS, own_port)).close()
            raise AssertionError("it listens where the settings say, too")
        assert not site.operate.exists()
        manager.process.send_signal(signal.SIGTERM)
        assert manager.wait()[0] == 0


def test_what_it_is_given_for_one_lane_leaves_the_other_to_the_settings():
    """An operator who gives the one would lose the other."""
    with managed() as (site, manager):
        manager.start(f"{ADDRESS}:{GIVEN_PORT}", names="nodes")
        socket.create_connection((ADDRESS, GIVEN_PORT)).close()
        assert manager.hear()["READY"] == "1"
        assert site.ask_as_operator("/readyz")[0] == 200


def test_sockets_that_it_can_not_use_are_refused():
    """It would accept nodes where operators are expected, or wait for ever where nobody can come."""
    for place, names, why in ((f"{ADDRESS}:{GIVEN_PORT}", "web", "must be nodes or operate"),
                              (f"{ADDRESS}:{GIVEN_PORT}", None, "must be nodes or operate"),
                              (None, "nodes", "wrong address family")):
        with managed() as (site, manager):
            place = place or site.folder / "given"
            manager.start(place, names=names)
            if isinstance(place, str):
                socket.create_connection((ADDRESS, GIVEN_PORT)).close()
            else:
                with socket.socket(socket.AF_UNIX) as first:
                    first.connect(str(place))
            status, said = manager.wait()
            assert status == 6 and why in said, (status, said)


def test_descriptors_that_are_no_listening_sockets_are_refused():
    """A wrong unit would be found by the first node."""
    site = Site(tempfile.mkdtemp(prefix="service."))
    for what in ("3</dev/null", "3<&-"):
        script = f'exec {what}; exec env LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=nodes "$@"'
        done = subprocess.run(["sh", "-c", script, "sh", PROGRAM, "serve", "--config", site.settings], text=True,
                              capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
        assert done.returncode == 6, (what, done.returncode, done.stderr)


def test_what_is_meant_for_another_process_is_left_alone():
    """A descriptor of somebody else's would be closed or served."""
    site = Site(tempfile.mkdtemp(prefix="service."))
    os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = "1", "1"
    try:
        with site.start():
            assert site.ask_as_operator("/readyz")[0] == 200
    finally:
        del os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"]
