"""A fortros-gateway that runs here, and nodes that talk to it. WireGuard is not managed: this is for
what a gateway does in user space; tests/boot has its kernel.

    site = Site(folder)
    with site.start() as server, site.client() as node:
        invite = site.invite()
        assert node.tell(f"enroll 1 {invite}")["status"] == 200
"""

import json
import pathlib
import queue
import shutil
import signal
import socket
import ssl
import subprocess
import threading

from lib.org import Org

OUT = pathlib.Path(__file__).resolve().parents[2] / "build/out"
PROGRAM = OUT / "agent/gateway/fortros-gateway"
CLIENT = OUT / "tests/net/gateway-client"
ADDRESS, PORT = "127.0.0.1", 8443
READY_LIMIT_S = 60
END_LIMIT_S = 60

SETTINGS = """\
[Gateway]
Listen={address}:{port}
{store}

[Operate]
Listen={operate}

[WireGuard]
Endpoints=192.0.2.1:51820
Manage=no
"""


class Site:
    """An org, a gateway of it, and its settings, in one folder. `etcd`: the lines of its section [Etcd]."""

    def __init__(self, folder, *, database="state/gateway.db", org=None, port=PORT, etcd=None):
        self.folder = pathlib.Path(folder)
        self.org = org or Org.make(self.folder / "org")
        self.home = self.folder / "gateway"
        self.gateway = self.org.gateway(self.home)
        for file in (self.org.ca, self.org.folder / "org.conf", self.org.signer, self.org.signer_key):
            shutil.copy(file, self.home)
        self.port = port
        self.database = self.home / database
        store = f"[Etcd]\n{etcd}" if etcd else f"Database={database}"
        self.settings = self.home / "gateway.conf"
        self.operate = self.home / "operate"  # a socket: several gateways may serve here
        self.settings.write_text(SETTINGS.format(address=ADDRESS, port=port, store=store, operate=self.operate),
                                 encoding="ascii")

    def start(self):
        return Server(self)

    def client(self):
        return Client(self)

    def run(self, *words):
        """An admin's command: (exit code, standard output, standard error)."""
        done = subprocess.run([PROGRAM, *words, "--config", self.settings], text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=END_LIMIT_S, check=False)
        return done.returncode, done.stdout, done.stderr

    def admin(self, *words):
        """The same, which must succeed; its standard output."""
        status, out, err = self.run(*words)
        assert status == 0, f"fortros-gateway {' '.join(map(str, words))}: {status}: {err}"
        return out

    def json(self, *words):
        return json.loads(self.admin(*words, "--json"))

    def invite(self, *options, approval="no"):
        return self.admin("invite", "create", "--approval", approval, *options).strip()

    def connect(self, maximum=None):
        """A TLS connection by Python's own ssl: for what no honest node would say."""
        context = ssl.create_default_context(cafile=self.org.ca)
        if maximum is not None:
            context.maximum_version = maximum
        plain = socket.create_connection((ADDRESS, self.port), timeout=END_LIMIT_S)
        try:
            return context.wrap_socket(plain, server_hostname=self.org.gateway_name)
        except BaseException:
            plain.close()
            raise

    def connect_as_operator(self):
        plain = socket.socket(socket.AF_UNIX)
        try:
            plain.settimeout(END_LIMIT_S)
            plain.connect(str(self.operate))
        except BaseException:
            plain.close()
            raise
        return plain

    def ask_as_operator(self, target, *headers, method="GET"):
        """An answer of the operating lane: (status, headers, body)."""
        lines = [f"{method} {target} HTTP/1.1", "Host: gateway", *headers]
        with self.connect_as_operator() as plain:
            plain.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            ((status, told, body),) = answers_in(read_all(plain))
            return status, told, body.decode("utf-8")

    def metrics(self):
        """The gateway's numbers of now: a sample as it is written → its value."""
        status, _, text = self.ask_as_operator("/metrics")
        assert status == 200, text
        samples = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: int(value) for name, value in samples}

    def ask(self, request, connection=None):
        """Sends bytes and reads all answers, until the gateway closes: [(status, headers, body)]."""
        with connection or self.connect() as tls:
            try:
                tls.sendall(request)
            except OSError:
                pass  # refused before it was read to its end: the answer is there all the same
            return answers_in(read_all(tls))


def expect(actual, expected, what):
    assert actual == expected, f"{what}: expected {expected!r}, got {actual!r}"


def expect_failure(where, words, status, *parts):
    """An admin's command that fails with this exit code, and says all of this."""
    got, out, error = where.run(*words)
    expect(got, status, f"the exit code of {words}: {error}")
    expect(out, "", "standard output of a failure")
    for part in parts:
        assert part in error, f"{words}: {error!r} does not say {part!r}"


def read_all(tls):
    data = b""
    while True:
        try:
            piece = tls.recv(65536)
        except ssl.SSLEOFError:
            return data
        if not piece:
            return data
        data += piece


def answers_in(data):
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        status, *lines = head.decode("ascii").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers["content-length"])
        found.append((int(status.split()[1]), headers, data[:length]))
        data = data[length:]
    return found


class Server:
    """A gateway that serves."""

    def __init__(self, site):
        self.process = subprocess.Popen([PROGRAM, "serve", "--config", site.settings], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                        errors="replace")
        self.lines = []
        self._waiting = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.wait_for("event=serving", READY_LIMIT_S)
        except BaseException:
            self.kill()
            raise

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)
            print("gateway:", line, end="", flush=True)
            self._waiting.put(line)
        self._waiting.put(None)

    def wait_for(self, text, limit_s=END_LIMIT_S):
        """The next line of its log that contains the text; the lines before it are dropped."""
        while True:
            line = self._waiting.get(timeout=limit_s)
            if line is None:
                raise AssertionError(f"the gateway ended without saying {text!r}: {self.lines[-5:]}")
            if text in line:
                return line

    @property
    def log(self):
        return "".join(self.lines)

    def stop(self):
        """Asks it to end; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self._end()

    def kill(self):
        self.process.kill()
        return self._end()

    def _end(self):
        status = self.process.wait(END_LIMIT_S)
        self._reader.join(END_LIMIT_S)
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()


class Client:
    """A gateway-client: see tests/net/gateway_client.cc for what can be said to it."""

    def __init__(self, site):
        self.process = subprocess.Popen([CLIENT, f"{ADDRESS}:{site.port}", site.org.ca, site.org.gateway_name], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self):
        line = self.process.stdout.readline()
        assert line, "the client ended"
        return json.loads(line)

    def tell(self, line):
        self.say(line)
        return self.hear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
