"""A DNS server that a test programs: it answers, lies, stays silent or comes late, as it is told.

    server = dns.Server("127.0.0.53", lambda question: [question.answer("192.0.2.1")])

`react` gets each question that comes by UDP, or by TCP, and gives the datagrams to send back, in order.
"""

import dataclasses
import ipaddress
import socket
import socketserver
import struct
import threading

A, CNAME, AAAA, SRV = 1, 5, 28, 33
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
RESPONSE, TRUNCATED, RECURSION = 0x8000, 0x0200, 0x0180
TTL_S = 60


def wire_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def srv(priority, weight, port, target):
    """The data of an SRV record (RFC 2782)."""
    return struct.pack("!HHH", priority, weight, port) + wire_name(target)


@dataclasses.dataclass
class Question:
    id: int
    name: str
    type: int
    over_tcp: bool
    raw: bytes  # of the question section
    client: tuple = ()  # the address and port it came from

    @classmethod
    def parse(cls, message, over_tcp, client):
        number, = struct.unpack_from("!H", message)
        labels, at = [], 12
        while message[at]:
            labels.append(message[at + 1:at + 1 + message[at]].decode())
            at += 1 + message[at]
        kind, = struct.unpack_from("!H", message, at + 1)
        return cls(number, ".".join(labels), kind, over_tcp, message[12:at + 5], client)

    def message(self, records=b"", count=0, additional=b"", additional_count=0, *, rcode=NOERROR, flags=0, id=None):
        return struct.pack("!HHHHHH", self.id if id is None else id, RESPONSE | RECURSION | flags | rcode,
                           1, count, 0, additional_count) + self.raw + records + additional

    def record(self, kind, data, name=None):
        return (wire_name(name or self.name) + struct.pack("!HHIH", kind, 1, TTL_S, len(data)) + data)

    def answer(self, *addresses, **options):
        """The addresses of the family that was asked for."""
        of_family = [a for a in map(ipaddress.ip_address, addresses)
                     if a.version == (4 if self.type == A else 6)]
        return self.message(b"".join(self.record(self.type, a.packed) for a in of_family), len(of_family), **options)

    def services(self, *services, additional=(), **options):
        """SRV records, each (priority, weight, port, target); beside them addresses, each (name, address)."""
        beside = [(name, ipaddress.ip_address(a)) for name, a in additional]
        return self.message(b"".join(self.record(SRV, srv(*service)) for service in services), len(services),
                            b"".join(self.record(A if a.version == 4 else AAAA, a.packed, name) for name, a in beside),
                            len(beside), **options)

    def refuse(self, rcode):
        return self.message(rcode=rcode)


class Server:
    """Serves until it is closed; `questions` are those that came, in order."""

    def __init__(self, address, react, port=53):
        self.questions = []
        self._react = react
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        outer = self

        class Udp(socketserver.BaseRequestHandler):
            def handle(self):
                data, reply_socket = self.request
                for reply in outer._hear(data, False, self.client_address):
                    reply_socket.sendto(reply, self.client_address)

        class Tcp(socketserver.BaseRequestHandler):
            def handle(self):
                size = self.request.recv(2, socket.MSG_WAITALL)
                while len(size) == 2:
                    data = self.request.recv(*struct.unpack("!H", size), socket.MSG_WAITALL)
                    for reply in outer._hear(data, True, self.client_address):
                        self.request.sendall(struct.pack("!H", len(reply)) + reply)
                    size = self.request.recv(2, socket.MSG_WAITALL)

        self._servers = []
        for base, handler in ((socketserver.ThreadingUDPServer, Udp), (socketserver.ThreadingTCPServer, Tcp)):
            kind = type("Kind", (base,), {"address_family": family, "allow_reuse_address": True,
                                          "daemon_threads": True})
            server = kind((address, port), handler)
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            self._servers.append(server)

    def _hear(self, data, over_tcp, client):
        question = Question.parse(data, over_tcp, client)
        self.questions.append(question)
        return self._react(question)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self._servers:
            server.shutdown()
            server.server_close()
