"""The attack matrix, fourth part: answers whose HTTP lies about where they begin and end. Each is proved by the
gateway's WireGuard key: only its form is wrong."""

import json
import threading

from lib.attack import ATTACKER, Boot, attacker, disbelieved, fresh

EARLY_END = "the gateway closed the connection before its answer was complete"


def framed(make, words, *settings):
    """The answer that `make(asked, body)` gives, whole or in pieces, is not taken."""
    def answer(asked):
        made = make(asked, json.dumps(asked.honest).encode())
        for piece in [made] if isinstance(made, bytes) else made:
            if not asked.send(piece):
                break

    with attacker(fresh(), answer=answer) as rogue:
        disbelieved(rogue, words, *settings)


def taken(make):
    """That what is refused elsewhere is refused for its fault alone."""
    with attacker(fresh(), answer=lambda asked: asked.send(make(asked, json.dumps(asked.honest).encode()))), \
            Boot(ATTACKER) as boot:
        boot.enrolled()


def with_headers(*headers, **bent):
    return lambda asked, body: asked.http(body, *headers, **bent)


def test_an_ordinary_answer():
    """Every test below would pass with an agent that takes no answer at all."""
    taken(with_headers("Date: Sun, 22 Nov 2026 16:00:00 GMT", "X-Blank:", "Connection: close"))


def test_chunks():
    """Two readers would see two bodies, of which one is proved."""
    chunked = lambda asked, body: asked.http(body, "Transfer-Encoding: chunked", length=None)[:-len(body)] \
        + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    framed(chunked, "a transfer encoding")
    framed(with_headers("Transfer-Encoding: chunked"), "a transfer encoding")
    framed(with_headers("Transfer-Encoding: identity"), "a transfer encoding")


def test_content_encoding():
    """A small answer would unfold into a large one."""
    framed(with_headers("Content-Encoding: gzip"), "a content encoding")


def test_content_length_twice_or_never():
    """Two readers would see two ends."""
    words = "not exactly one Content-Length"
    framed(with_headers("Content-Length: 5"), words)
    framed(lambda asked, body: asked.http(body, f"Content-Length: {len(body)}"), words)
    framed(with_headers(length=None), words)


def test_lengths_that_are_none():
    """A number that readers read differently is two numbers."""
    for length in ("-1", "+5", "0x10", "5, 5", "007", "99999999999999999999", "", "1e3", "5 5"):
        framed(with_headers(length="Content-Length: " + length), "a Content-Length that is none")


def test_lying_lengths():
    """Half of an answer would pass for a whole one, or one that never ends would fill the memory."""
    framed(lambda asked, body: [asked.http(body, length=f"Content-Length: {len(body) - 1}")], "bytes after its end")
    framed(with_headers(length="Content-Length: 0"), "bytes after its end")
    framed(with_headers(length="Content-Length: {length}9"), "did not answer within 2.0 s", "AttemptTimeout=2s")


def test_50_mb():
    """A small machine would be out of memory, or busy until its budget is over."""
    framed(with_headers(length="Content-Length: 52428800"), "a body of more than 256 KiB")
    piece = b"x" * 65_000
    endless = lambda asked, body: [b"HTTP/1.1 200 OK\r\nContent-Length: 262100\r\n\r\n", *[piece] * 800]
    framed(endless, "not a usable HTTP answer")
    framed(lambda asked, body: [b"HTTP/1.1 200 OK\r\n", *[b"X: " + piece + b"\r\n"] * 800], "a head of more than 8 KiB")


def test_headers_without_end():
    """The same, in many small pieces."""
    framed(lambda asked, body: [b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n"] * 5_000], "a head of more than 8 KiB")
    framed(with_headers(*["X: y"] * 64), "more than 64 headers")


def test_folded_and_broken_headers():
    """A proxy and a node would read two different headers."""
    framed(with_headers("X-Header: a\r\n b: c"), "a header's name that is none")
    framed(with_headers("X-Header: a\r\n b"), "a header without a colon")
    framed(with_headers("Content-Length : 5"), "a header's name that is none")
    framed(with_headers(" X: y"), "a header's name that is none")
    framed(with_headers("no colon"), "a header without a colon")
    framed(with_headers("X: a\0b"), "a control character in a header")
    framed(with_headers("X: a\nContent-Length: 5"), "a control character in a header")
    framed(with_headers("X: a\rb"), "a control character in a header")


def test_line_ends_alone():
    """What ends a line for one reader does not for another."""
    framed(lambda asked, body: asked.http(body).replace(b"\r\n", b"\n"), "did not answer within 2.0 s", "AttemptTimeout=2s")


def test_other_versions():
    """Their rules for the end of a body are others."""
    for first in ("HTTP/1.0 200 OK", "HTTP/2 200", "HTTP/1.1\t200 OK", "http/1.1 200 OK", "ICY 200 OK", "200 OK"):
        framed(with_headers(first=first), "it does not begin with HTTP/1.1")
    for first in ("HTTP/1.1 20 OK", "HTTP/1.1 2000 OK", "HTTP/1.1 200", "HTTP/1.1 099 OK", "HTTP/1.1 600 OK", "HTTP/1.1 -00 OK"):
        framed(with_headers(first=first), "a status that is none")


def test_interim_answers():
    """A 100 is allowed before an answer; without end it would hold the node up."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    taken(lambda asked, body: interim * 3 + asked.http(body))
    framed(lambda asked, body: [interim * 5_000], "a head of more than 8 KiB")
    framed(lambda asked, body: b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + asked.http(body),
           "it switches to another protocol")


def test_bytes_after_the_answer():
    """What comes after the proved answer is proved by nobody."""
    framed(lambda asked, body: asked.http(body) + b"x", "bytes after its end")
    framed(lambda asked, body: asked.http(body) * 2, "bytes after its end")


def test_no_body_where_there_must_be_one():
    """An empty success is none."""
    framed(with_headers(status=204, length=None), "not a usable HTTP answer")
    framed(lambda asked, body: asked.http(b"", status=200), "JSON")


def test_one_byte_at_a_time():
    """A slow or fragmenting wire would look like a broken gateway."""
    def answer(asked):
        for byte in asked.http(asked.honest):
            asked.send(bytes([byte]))

    with attacker(fresh(), answer=answer), Boot(ATTACKER) as boot:
        boot.enrolled()


def test_one_byte_a_second():
    """A gateway that drips would hold a node until its budget is over, one byte before the deadline each time."""
    stop = threading.Event()

    def answer(asked):
        for byte in asked.http(asked.honest):
            if stop.wait(1) or not asked.send(bytes([byte])):
                return

    with attacker(fresh(), answer=answer) as rogue:
        disbelieved(rogue, "did not answer within 2.0 s", "AttemptTimeout=2s")
        stop.set()


def test_closing_at_each_stage_of_the_answer():
    """Half of an answer would be taken for a whole one."""
    def cut_at(at, how):
        def answer(asked):
            whole = asked.http(asked.honest)
            asked.send(whole[:int(len(whole) * at)] if at < 1 else whole[:-1])
            return how
        return answer

    for at in (0, 0.02, 0.1, 0.5, 1):
        for how in ("cut", "close"):
            with attacker(fresh(), answer=cut_at(at, how)) as rogue:
                disbelieved(rogue, EARLY_END)
