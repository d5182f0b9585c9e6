"""TLS servers and what stands between them and a node, for tests: OpenSSL by Python's ssl module,
and a wire that cuts, drips or holds back what goes over it. All on the loopback."""

import contextlib
import socket
import ssl
import threading

HOST = "127.0.0.1"


def listener(host=HOST):
    """A listening socket on a free port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.bind((host, 0))
    made.listen()
    return made


def endpoint(sock):
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Peer:
    """Accepts connections, each in a thread that runs `talk(connection)`; ends with its block."""

    def __init__(self, talk, host=HOST, listening=None):
        self._talk = talk
        self._listener = listening or listener(host)
        self.endpoint = endpoint(self._listener)
        self._connections = []
        self._threads = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                thread.start()
                self._threads.append(thread)

    def _serve(self, connection):
        with contextlib.suppress(OSError, ValueError):  # the other end went away: what the test is about
            self._talk(connection)
        with contextlib.suppress(OSError):
            connection.close()

    def __enter__(self):
        self._acceptor.start()
        return self

    def __exit__(self, *_):
        # shutdown() wakes whoever waits in accept() or recv(); close() alone would not.
        for sock in (self._listener, *self._connections):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in (self._acceptor, *self._threads):
            thread.join(10)


class Server(Peer):
    """A TLS server. `requests` are what it has received, `errors` why handshakes failed.

    `answer(connection, request)` is called once a request is complete; `connection` is the TLS one.
    """

    def __init__(self, certificate, key, answer=None, *, host=HOST, version=ssl.TLSVersion.TLSv1_3, end=b"invite"):
        super().__init__(self._converse, host)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = self.context.maximum_version = version
        self.context.load_cert_chain(certificate, key)
        self._answer = answer or (lambda connection, request: connection.sendall(http(200, b"hello")))
        self._end = end
        self.requests = []
        self.errors = []

    def _converse(self, raw):
        try:
            connection = self.context.wrap_socket(raw, server_side=True)
        except (ssl.SSLError, OSError) as error:
            self.errors.append(str(error))
            return
        request = b""
        while not request.endswith(self._end):
            data = connection.recv(65536)
            if not data:
                break
            request += data
        if request:
            self.requests.append(request)
        if request.endswith(self._end):
            self._answer(connection, request)
            with contextlib.suppress(OSError):
                connection.recv(1)  # until the node has gone


def http(status, body, *headers, length=None):
    lines = [f"HTTP/1.1 {status} Words", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Wire(Peer):
    """Between a node and a server: `forward(data, total)` gets what the server sends and how much it
    has sent before over this connection, and gives what the node is to get: a list of pieces. None cuts the wire."""

    def __init__(self, to, forward, *, listening=None, connect=socket.create_connection):
        super().__init__(self._join, listening=listening)
        self._to = to
        self._connect = connect
        self._forward = forward
        self.total = 0

    def _join(self, near):
        host, _, port = self._to.rpartition(":")
        far = self._connect((host.strip("[]"), int(port)))
        self._connections.append(far)

        def upstream():
            with contextlib.suppress(OSError):
                while data := near.recv(65536):
                    far.sendall(data)
            with contextlib.suppress(OSError):  # also when the near end was reset
                far.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=upstream, daemon=True)
        thread.start()
        self._threads.append(thread)
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sent = 0
        while data := far.recv(65536):
            pieces = self._forward(data, sent)
            sent += len(data)
            self.total += len(data)
            for piece in pieces:
                if piece is None:
                    near.shutdown(socket.SHUT_RDWR)
                    return
                near.sendall(piece)
        near.shutdown(socket.SHUT_RDWR)  # close() alone would wait for upstream()
