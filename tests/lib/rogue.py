"""A rogue gateway in a World's router: whatever certificate, whatever answer, and everything that it was
told. What it does is in tests/net/rogue_gateway.cc; what it answers, a test says:

    with Rogue(world, address, folder, answer=lambda asked: asked.prove(200, b"{}")) as rogue:
        ...
    assert rogue.received == []

An answer that returns "cut" or "close" ends the connection, without TLS's word for it or with it; after any
other the rogue waits for the node to go, and notes what it says meanwhile.
"""

import base64
import dataclasses
import json
import pathlib
import shutil
import threading

from lib.netns import READY_LIMIT_S

PROGRAM = pathlib.Path(__file__).resolve().parents[2] / "build/out/tests/net/rogue-gateway"
NEEDED = ("ca.pem", "org.conf", "signer.pem", "signer.key")


def furnish(folder, org):
    """Puts beside a gateway's own files what a gateway of this org has."""
    for name in NEEDED:
        if not (folder / name).exists():
            shutil.copy(org.folder / name, folder)
    return folder


def encode(data):
    """A word of a line; nothing at all is one, too."""
    return base64.b64encode(data).decode() or "-"


@dataclasses.dataclass
class Asked:
    """One request, and the means to answer it."""
    rogue: "Rogue"
    request: bytes
    honest: dict  # the body of an honest answer
    proof_is_right: bool

    def tell(self, line):
        return self.rogue.tell(line)

    def send(self, data):
        return self.tell(f"send {encode(data)}")["sent"]

    def record(self, kind, data, count=1):
        """TLS records made beside OpenSSL: everything after one must be made so, too."""
        return self.tell(f"record {kind} {encode(data)} {count}")["sent"]

    def raw(self, data):
        return self.tell(f"raw {encode(data)}")["sent"]

    def attest(self, key, role):
        return self.tell(f"attest {key} {role}")["attestation"]

    def proof(self, status, body, retry_after=0):
        return self.tell(f"prove {status} {retry_after} {encode(body)}")["proof"]

    def http(self, body, *headers, status=200, first="HTTP/1.1 {status} Words", length="Content-Length: {length}"):
        """An answer with a valid proof, but for what the caller bends. A Fortros-Answer among `headers` takes
        the place of the right one."""
        body = json.dumps(body).encode() if isinstance(body, dict) else body
        lines = [first.format(status=status)]
        if length is not None:
            lines.append(length.format(length=len(body)))
        if not any(header.startswith("Fortros-Answer") for header in headers):
            lines.append("Fortros-Answer: " + self.proof(status, body))
        return "\r\n".join([*lines, *headers]).encode() + b"\r\n\r\n" + body

    def prove(self, status, body, *headers, **bent):
        """Sends an answer that only the holder of the WireGuard key can give."""
        return self.send(self.http(body, *headers, status=status, **bent))


class Rogue:
    def __init__(self, world, address, folder, *options, answer=None, port=443):
        self.endpoint = f"{address}:{port}"
        self.asked = []        # each whole request
        self.received = []     # every byte of the application that ever came, whole request or not
        self.handshakes = []   # what each ended with
        self.gone = 0          # connections that have ended: all that came over them is in `received`
        self.problems = []     # of the test's own answer
        self._answer = answer
        self._heard = threading.Condition()
        self._said = []        # what the program has said and nobody has taken
        self._process = world.router.start(PROGRAM, self.endpoint, folder, *options, ready='"listening"')
        self._driver = threading.Thread(target=self._drive, daemon=True)
        self._driver.start()

    def _events(self):
        seen = 0
        while True:
            try:
                line = self._process.wait_for(lambda line: line if line.startswith("{") else None, 3600, after=seen)
            except AssertionError:
                return  # it has ended
            seen = self._process.lines.index(line, seen) + 1
            yield json.loads(line)

    def _drive(self):
        self._iterator = self._events()
        for event in self._iterator:
            if event.get("event") == "handshake":
                with self._heard:
                    self.handshakes.append(event)
                    self._heard.notify_all()
            elif event.get("event") == "gone":
                with self._heard:
                    self.gone += 1
                    self._heard.notify_all()
            elif event.get("event") == "asked":
                self._take(base64.b64decode(event["bytes"]))
                if event["waits"]:
                    self._serve(event)

    def wait_for_handshakes(self, count):
        """A node may know of the end of a handshake before the rogue has told of it."""
        with self._heard:
            there = self._heard.wait_for(lambda: len(self.handshakes) >= count, READY_LIMIT_S)
        assert there, f"{len(self.handshakes)} handshakes, not {count}"

    def wait_for_ends(self, count):
        """What a node sends after it has refused a certificate may come after its word that it has."""
        with self._heard:
            there = self._heard.wait_for(lambda: self.gone >= count, READY_LIMIT_S)
        assert there, f"{self.gone} connections have ended, not {count}"

    def _take(self, data):
        if data:
            self.received.append(data)

    def _serve(self, event):
        asked = Asked(self, base64.b64decode(event["bytes"]), json.loads(event.get("honest", "{}")),
                      event.get("proof_is_right", False))
        if asked.request:
            self.asked.append(asked)
        end = None
        try:
            if self._answer:
                end = self._answer(asked)
        except Exception as error:  # told to the test's own thread by the end of the block
            self.problems.append(error)
        if end in ("cut", "close"):
            return self._say(end)
        ended = self.tell("end")
        self._take(base64.b64decode(ended.get("bytes", "")))

    def _say(self, line):
        self._process.process.stdin.write(line + "\n")
        self._process.process.stdin.flush()

    def tell(self, line):
        self._say(line)
        return next(self._iterator, {})

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self._process.stop()
        self._driver.join(10)
        if kind is None:
            assert not self.problems, self.problems
