"""An etcd cluster of a test's own, on loopback: members that are killed and come back.

    with Cluster(folder, members=3) as cluster:
        settings = f"[Etcd]\nEndpoints={' '.join(cluster.endpoints)}\n"
        cluster.kill(1)
        cluster.start(1)
"""

import contextlib
import pathlib
import queue
import signal
import subprocess
import threading

from lib.org import openssl

CLIENT_PORT, PEER_PORT = 2379, 2479
READY_LIMIT_S = 60
END_LIMIT_S = 30
# A new leader within half a second: elections are not what is tested.
TIMES = ("--heartbeat-interval", "50", "--election-timeout", "300")


class Cluster:
    def __init__(self, folder, members=1, options=(), scheme="http"):
        self.folder = pathlib.Path(folder)
        self.endpoints = [f"{scheme}://127.0.0.1:{CLIENT_PORT + i}" for i in range(members)]
        self._options = [str(option) for option in options]
        self._members = [None] * members
        for number in range(members):
            self._spawn(number)
        for member in self._members:
            member.wait_until_ready()

    @property
    def settings(self):
        """Of a gateway's section [Etcd]."""
        return f"Endpoints={' '.join(self.endpoints)}"

    def _spawn(self, number):
        name = f"etcd{number}"
        self._members[number] = Member(name, [
            "etcd", "--name", name, "--data-dir", str(self.folder / name), *TIMES, *self._options,
            "--listen-client-urls", self.endpoints[number], "--advertise-client-urls", self.endpoints[number],
            "--listen-peer-urls", _peer(number), "--initial-advertise-peer-urls", _peer(number),
            "--initial-cluster", ",".join(f"etcd{i}={_peer(i)}" for i in range(len(self._members)))])

    def start(self, number):
        """Brings a member back; returns when it serves."""
        self._spawn(number)
        self._members[number].wait_until_ready()

    def start_together(self, *numbers):
        """For members that have to wait for one another."""
        for number in numbers:
            self._spawn(number)
        for number in numbers:
            self._members[number].wait_until_ready()

    def kill(self, *numbers):
        for number in numbers:
            self._members[number].kill()

    @contextlib.contextmanager
    def frozen(self, number):
        """A member that keeps its connections and says nothing."""
        process = self._members[number].process
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for member in self._members:
            member.kill()


class Certificates:
    """A CA of etcd's own; a member's certificate and a gateway's. The member needs clientAuth as well: etcd's
    JSON gateway speaks to etcd itself with it."""

    def __init__(self, home, address="127.0.0.1"):
        self.ca, self._ca_key = f"{home}/ca.pem", f"{home}/ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=etcd",
                "-keyout", self._ca_key, "-out", self.ca)
        self.member = self._issue(f"{home}/member", f"IP:{address}", "serverAuth,clientAuth")
        self.elsewhere = self._issue(f"{home}/elsewhere", "IP:127.0.0.9", "serverAuth,clientAuth")
        self.gateway = self._issue(f"{home}/gateway", "DNS:gateway", "clientAuth")

    def _issue(self, name, alternative, usage):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x",
                "-CA", self.ca, "-CAkey", self._ca_key, "-addext", f"subjectAltName={alternative}",
                "-addext", "basicConstraints=critical,CA:FALSE", "-addext", f"extendedKeyUsage={usage}",
                "-keyout", f"{name}.key", "-out", f"{name}.pem")
        return f"{name}.pem", f"{name}.key"

    @property
    def files(self):
        """What a member and a gateway need, for a machine that they lie on."""
        return [self.ca, *self.member, *self.gateway]

    def of_member(self, member):
        """A member's options with this one of the pairs."""
        return ("--cert-file", member[0], "--key-file", member[1], "--trusted-ca-file", self.ca, "--client-cert-auth")

    @property
    def settings(self):
        """Of a gateway's section [Etcd], beside the endpoints."""
        return f"CA={self.ca}\nCertificate={self.gateway[0]}\nCertificateKey={self.gateway[1]}"


class Member:
    def __init__(self, name, command):
        self._lines = queue.Queue()
        self.process = subprocess.Popen(command, text=True, errors="replace", stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self._reader = threading.Thread(target=self._read, args=(name,), daemon=True)
        self._reader.start()

    def _read(self, name):
        for line in self.process.stderr:
            if '"level":"error"' in line or '"level":"fatal"' in line or '"level":"panic"' in line:
                print(f"{name}:", line, end="", flush=True)
            self._lines.put(line)
        self._lines.put(None)

    def wait_until_ready(self):
        while line := self._lines.get(timeout=READY_LIMIT_S):
            if "ready to serve client requests" in line:
                return
        raise AssertionError("etcd ended before it served")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(END_LIMIT_S)
        self._reader.join(END_LIMIT_S)


def _peer(number):
    return f"http://127.0.0.1:{PEER_PORT + number}"
