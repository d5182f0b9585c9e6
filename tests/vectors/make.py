#!/usr/bin/env python3
"""Makes the published vectors, by an implementation of its own on Python's standard library, so
that they check the C++ code instead of repeating it. Whoever writes a gateway or an agent in
another language can test it with the JSON files beside this one.

usage: make.py [--check]     write the files, or fail if they differ from what is committed
"""
import base64
import hashlib
import hmac
import ipaddress
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
P = 2**255 - 19


def x25519(scalar: bytes, point: bytes) -> bytes:
    """RFC 7748, section 5: the Montgomery ladder, as the RFC writes it."""
    k = int.from_bytes(scalar, "little") & ~7 & ~(128 << 8 * 31) | 64 << 8 * 31
    x1 = int.from_bytes(point, "little") & ((1 << 255) - 1)
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for t in reversed(range(255)):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % P, b * b % P, d * a % P, c * b % P
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % P, x1 * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def public_of(private: bytes) -> bytes:
    return x25519(private, (9).to_bytes(32, "little"))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def sample(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def overlay_address(prefix: bytes, key: bytes) -> str:
    digest = hashlib.sha256(b"fortros/overlay-address/v1\0" + prefix + key).digest()
    return str(ipaddress.IPv6Address(prefix + digest[:10]))


def overlay_vectors() -> dict:
    keys = [public_of(sample(f"node {i}")) for i in range(4)] + [bytes([9] + [0] * 31)]
    prefixes = ["fd00::/48", "fd12:3456:789a::/48", "fdff:ffff:ffff::/48"]
    return {
        "about": 'prefix48 || first 80 bits of SHA-256("fortros/overlay-address/v1" || 0x00 || '
                 "prefix48 || public key)",
        "vectors": [
            {
                "prefix": prefix,
                "public_key": b64(key),
                "overlay_address": overlay_address(
                    ipaddress.IPv6Network(prefix).network_address.packed[:6], key),
            }
            for prefix in prefixes
            for key in keys
        ],
    }


# --- ChaCha20-Poly1305 (RFC 8439), to seal samples only ---

def rotate(word: int, bits: int) -> int:
    return (word << bits | word >> (32 - bits)) & 0xFFFFFFFF


def chacha20_block(key: bytes, counter: int, nonce: bytes) -> bytes:
    """Section 2.3."""
    words = [int.from_bytes(part[at:at + 4], "little")
             for part in (b"expand 32-byte k", key, counter.to_bytes(4, "little"), nonce)
             for at in range(0, len(part), 4)]
    state = list(words)
    columns = [(i, i + 4, i + 8, i + 12) for i in range(4)]
    diagonals = [(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4) for i in range(4)]
    for _ in range(10):
        for a, b, c, d in columns + diagonals:
            for x, y, z, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                state[x] = (state[x] + state[y]) & 0xFFFFFFFF
                state[z] = rotate(state[z] ^ state[x], bits)
    return b"".join(((a + b) & 0xFFFFFFFF).to_bytes(4, "little") for a, b in zip(state, words))


def poly1305(key: bytes, message: bytes) -> bytes:
    """Section 2.5."""
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for at in range(0, len(message), 16):
        total = (total + int.from_bytes(message[at:at + 16] + b"\1", "little")) * r % (2**130 - 5)
    return ((total + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")


def chacha20_poly1305(key: bytes, nonce: bytes, plain: bytes) -> bytes:
    """Section 2.8, without associated data."""
    stream = b"".join(chacha20_block(key, 1 + i, nonce) for i in range(len(plain) // 64 + 1))
    sealed = bytes(a ^ b for a, b in zip(plain, stream))
    lengths = (0).to_bytes(8, "little") + len(sealed).to_bytes(8, "little")
    padded = sealed + bytes(-len(sealed) % 16)
    return sealed + poly1305(chacha20_block(key, 0, nonce)[:32], padded + lengths)


def hkdf(salt: bytes, secret: bytes, info: bytes) -> bytes:
    """RFC 5869 with one block of output."""
    return hmac.digest(hmac.digest(salt, secret, "sha256"), info + b"\1", "sha256")


def proof_vector(i: int) -> dict:
    node, gateway = sample(f"node {i}"), sample(f"gateway {i}")
    exporter = sample(f"exporter {i}")
    method, target = "POST", ["/v1/enroll", "/v1/join"][i % 2]
    body = [b'{"version":1}', b"", bytes(range(256))][i % 3]
    status, retry_after, answer = [(200, 0, b"{}"), (503, 30, b"busy"), (202, 600, b"")][i % 3]
    node_public, gateway_public = public_of(node), public_of(gateway)
    shared = x25519(node, gateway_public)
    assert shared == x25519(gateway, node_public)
    key = hkdf(exporter, shared, b"fortros/proof/v1" + node_public + gateway_public)
    invite = [b"fortros-invite-v1-AAAA", b"an-invite-of-16.", b"i" * 256][i % 3]
    nonce = sample(f"nonce {i}")[:12]
    sealed = nonce + chacha20_poly1305(hkdf(b"", key, b"fortros/invite/v1"), nonce, invite)
    request = hmac.digest(
        key,
        b"fortros/request/v1" + method.encode() + b"\0" + target.encode() + b"\0" + node_public
        + hashlib.sha256(body).digest(), "sha256")
    answered = hmac.digest(
        key,
        b"fortros/answer/v1" + request + status.to_bytes(2, "big")
        + retry_after.to_bytes(4, "big") + hashlib.sha256(answer).digest(), "sha256")
    return {
        "node_private": b64(node), "gateway_private": b64(gateway),
        "node_public": b64(node_public), "gateway_public": b64(gateway_public),
        "exporter": b64(exporter), "method": method, "target": target, "body": b64(body),
        "proof_key": b64(key), "request_proof": b64(request),
        "status": status, "retry_after": retry_after, "answer_body": b64(answer),
        "answer_proof": b64(answered), "invite": b64(invite), "sealed_invite": b64(sealed),
    }


# --- ECDSA on P-256 (FIPS 186-5 section 6.4, SEC 2 section 2.4.2), to sign samples only ---

Q = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
     0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5)


def p256_add(a: tuple | None, b: tuple | None) -> tuple | None:
    """Affine; None is the point at infinity."""
    if a is None or b is None:
        return a or b
    if a[0] == b[0] and (a[1] + b[1]) % Q == 0:
        return None
    if a == b:
        slope = (3 * a[0] ** 2 - 3) * pow(2 * a[1], -1, Q)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, Q)
    x = (slope**2 - a[0] - b[0]) % Q
    return x, (slope * (a[0] - x) - a[1]) % Q


def p256_multiply(k: int, point: tuple) -> tuple:
    sum_ = None
    while k:
        sum_ = p256_add(sum_, point) if k & 1 else sum_
        point, k = p256_add(point, point), k >> 1
    return sum_


def p256_point(private: int) -> bytes:
    x, y = p256_multiply(private, G)
    return b"\4" + x.to_bytes(32, "big") + y.to_bytes(32, "big")


def p256_sign(private: int, message: bytes) -> bytes:
    """The nonce is fixed by key and message, for vectors that stay; not RFC 6979's way."""
    nonce = int.from_bytes(sample(f"nonce {private} {message.hex()}"), "big") % N
    r = p256_multiply(nonce, G)[0] % N
    digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
    s = pow(nonce, -1, N) * (digest + r * private) % N
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


ROLES = {"node": 1, "lighthouse": 2, "gateway": 3}


def bootstrap_peer(peer: dict) -> bytes:
    out = base64.b64decode(peer["public_key"]) + bytes([ROLES[peer["role"]]])
    out += peer["keepalive_seconds"].to_bytes(2, "big") + bytes([len(peer["endpoints"])])
    for endpoint in peer["endpoints"]:
        host, port = endpoint.rsplit(":", 1)
        address = ipaddress.ip_address(host.strip("[]"))
        out += bytes([address.version]) + address.packed + int(port).to_bytes(2, "big")
    return out


def bootstrap_vector(i: int, role: str, endpoints: list[list[str]]) -> dict:
    prefix = "fd12:3456:789a::/48"
    prefix_bytes = ipaddress.IPv6Network(prefix).network_address.packed[:6]
    node = public_of(sample(f"node {i}"))
    private = int.from_bytes(sample(f"signer {i}"), "big") % N
    signer_id = sample(f"certificate {i}")[:8]
    serial = 1_800_000_000 + i
    not_after = serial + 14 * 86400
    keys = [public_of(sample(f"peer {i} {j}")) for j in range(len(endpoints))]
    peers = [
        {"public_key": b64(key), "role": "gateway" if j == 0 else "lighthouse",
         "overlay_address": overlay_address(prefix_bytes, key), "keepalive_seconds": 25 * j,
         "endpoints": endpoints[j]}
        for j, key in enumerate(keys)
    ]
    message = (b"fortros/bootstrap/v1" + prefix_bytes + node + bytes([ROLES[role]])
               + serial.to_bytes(8, "big") + not_after.to_bytes(8, "big") + (7).to_bytes(8, "big")
               + (9).to_bytes(8, "big") + signer_id + bytes([len(peers)])
               + b"".join(map(bootstrap_peer, peers)))
    return {
        "prefix": prefix, "node": b64(node), "role": role, "serial": serial,
        "not_after": not_after, "policy_serial": 7, "revocation_number": 9,
        "signer_id": b64(signer_id), "signer_key": b64(p256_point(private)), "peers": peers,
        "set": b64(message + p256_sign(private, message)),
    }


def bootstrap_vectors() -> list[dict]:
    most = ["[2001:db8::1]:51820", "[2001:db8::2]:51820", "[2001:db8::3]:65535"]
    return [
        bootstrap_vector(0, "node", [["192.0.2.1:51820"]]),
        bootstrap_vector(1, "lighthouse",
                         [["192.0.2.1:51820", "[2001:db8::1]:1"], ["203.0.113.5:443"]]),
        bootstrap_vector(2, "gateway", [most] * 8),
    ]


SOURCES = {"cached": 1, "public-dns": 2, "dhcp-dns": 4}


def document_vector(i: int, sources: list[str], domain: str, revoked: int) -> dict:
    prefix = "fd12:3456:789a::/48"
    private = int.from_bytes(sample(f"signer {i}"), "big") % N
    signer_id = sample(f"certificate {i}")[:8]
    serial, since, number = 40 + i, 1_800_000_000 * (i % 2), 1000 + revoked
    keys = [public_of(sample(f"revoked {i} {j}")) for j in range(revoked)]
    message = (b"fortros/org-document/v1" + ipaddress.IPv6Network(prefix).network_address.packed[:6]
               + serial.to_bytes(8, "big") + since.to_bytes(8, "big")
               + bytes([sum(SOURCES[source] for source in sources)]) + number.to_bytes(8, "big")
               + signer_id + bytes([len(domain)]) + domain.encode()
               + len(keys).to_bytes(2, "big") + b"".join(keys))
    return {
        "prefix": prefix, "serial": serial, "signers_since": since, "sources": " ".join(sources),
        "revocation_number": number, "domain": domain, "revoked": [b64(key) for key in keys],
        "signer_id": b64(signer_id), "signer_key": b64(p256_point(private)),
        "document": b64(message + p256_sign(private, message)),
    }


def document_vectors() -> list[dict]:
    return [
        document_vector(0, [], "example.org", 0),
        document_vector(1, ["cached"], "", 1),
        document_vector(2, ["cached", "dhcp-dns"], "a" * 63 + "." + "b" * 63 + ".example", 5),
    ]


def fallback_name(order: int, key: bytes) -> bytes:
    return key if order == 0 else hashlib.sha256(b"fortros/fallback/v1" + bytes([order]) + key).digest()


def fallback_vector(count: int) -> dict:
    keys = [public_of(sample(f"member {i}")) for i in range(count)]
    stranger = public_of(sample("stranger"))
    rings = [sorted(keys, key=lambda key: fallback_name(order, key)) for order in range(4)]

    def neighbours(key: bytes) -> list[dict]:
        out = []
        for order, ring in enumerate(rings):
            name = fallback_name(order, key)
            after = [other for other in ring if fallback_name(order, other) > name]
            before = [other for other in ring if fallback_name(order, other) < name]
            out.append({"next": [b64(k) for k in (after + before)[:2]],
                        "previous": [b64(k) for k in (after + before)[::-1][:2]]})
        return out

    return {"members": [b64(key) for key in keys],
            "orders": [[b64(key) for key in ring] for ring in rings],
            "of": [{"key": b64(key), "neighbours": neighbours(key)}
                   for key in (keys[0], keys[-1], stranger)]}


VERBS = ["hello", "want", "accept", "refuse", "may-leave", "leave", "keep", "down", "probe", "echo"]
REASONS = ["full", "not-member", "unwilling"]
NATS = ["unknown", "none", "cone", "symmetric"]


def link_endpoint(endpoint: str | None) -> bytes:
    if endpoint is None:
        return b"\0"
    host, port = endpoint.rsplit(":", 1)
    address = ipaddress.ip_address(host.strip("[]"))
    return bytes([address.version]) + address.packed + int(port).to_bytes(2, "big")


def link_place(place: dict) -> bytes:
    axes = b"".join(axis.to_bytes(2, "big", signed=True) for axis in place["position"])
    return axes + place["height"].to_bytes(2, "big") + place["error"].to_bytes(2, "big")


def link_standing(standing: dict) -> bytes:
    return (bytes([len(standing["candidates"])]) + b"".join(map(link_endpoint, standing["candidates"]))
            + bytes([NATS.index(standing["nat"])]) + standing["links"].to_bytes(2, "big")
            + standing["room"].to_bytes(2, "big") + link_place(standing["place"]))


def link_body(message: dict) -> bytes:
    verb = message["verb"]
    out = bytes([1 + VERBS.index(verb)]) + bytes.fromhex(message["nonce"])
    if verb == "accept":
        out += bytes.fromhex(message["confirm"])
    if verb == "refuse":
        out += bytes([1 + REASONS.index(message["refusal"])]) + message["retry_after_s"].to_bytes(2, "big")
    if verb in ("probe", "echo"):
        out += bytes([message["linked"]])
    if verb in ("want", "accept", "may-leave", "echo"):
        out += link_standing(message["standing"])
    if verb in ("want", "accept"):
        attestation = base64.b64decode(message["attestation"])
        out += bytes([len(attestation)]) + attestation
    if verb in ("accept", "echo"):
        out += link_endpoint(message["seen"])
    if verb == "echo":
        out += bytes([len(message["introductions"])])
        for it in message["introductions"]:
            out += base64.b64decode(it["key"]) + it["rtt_ms"].to_bytes(2, "big") + link_place(it["place"])
    return out


def link_messages() -> list[dict]:
    """A conversation of two nodes, each message by the other one than before it."""
    near = {"position": [-32768, 0, 32767], "height": 12, "error": 250}
    far = {"position": [1, -1, 100], "height": 65535, "error": 2000}
    most = [f"[2001:db8::{i}]:5182{i}" for i in range(1, 7)]
    nonces = [sample(f"nonce {i}")[:8].hex() for i in range(5)]
    attestation = b64((sample("attestation") * 5)[:149])
    want = {"verb": "want", "nonce": nonces[0], "attestation": attestation, "standing": {
        "candidates": most, "nat": "symmetric", "links": 1, "room": 65535, "place": near}}
    return [
        want,
        {"verb": "hello", "nonce": "00" * 8},
        want,
        {"verb": "accept", "nonce": nonces[0], "confirm": nonces[1], "attestation": "",
         "seen": "192.0.2.7:40000",
         "standing": {"candidates": [], "nat": "none", "links": 7, "room": 0, "place": far}},
        {"verb": "probe", "nonce": nonces[1], "linked": True},
        {"verb": "echo", "nonce": nonces[1], "linked": True, "seen": None,
         "standing": {"candidates": ["198.51.100.1:1", "[2001:db8::1]:65535"], "nat": "cone",
                      "links": 8, "room": 3, "place": near},
         "introductions": [{"key": b64(public_of(sample(f"node {i}"))), "rtt_ms": 1000 * i, "place": far}
                           for i in range(4)]},
        {"verb": "may-leave", "nonce": nonces[2], "standing": {
            "candidates": ["192.0.2.1:51820"], "nat": "unknown", "links": 14, "room": 0, "place": far}},
        {"verb": "keep", "nonce": nonces[2]},
        {"verb": "down", "nonce": "00" * 8},
        {"verb": "leave", "nonce": nonces[3]},
        {"verb": "probe", "nonce": nonces[4], "linked": False},
        {"verb": "refuse", "nonce": nonces[4], "refusal": "unwilling", "retry_after_s": 300},
    ]


def link_vectors() -> list[dict]:
    """The first does not know the second's session, is told with a hello, and says it again."""
    private = [sample("node 0"), sample("node 1")]
    public = [public_of(key) for key in private]
    session = [sample(f"session {i}")[:8] for i in range(2)]
    key = hkdf(b"", x25519(private[0], public[1]), b"fortros/mesh/v1" + b"".join(sorted(public)))
    counters, vectors = [0, 0], []
    for i, message in enumerate(link_messages()):
        by = i % 2
        counters[by] += 1
        body = link_body(message)
        written = (b"FM1\0" + public[by] + (bytes(8) if i == 0 else session[1 - by]) + session[by]
                   + counters[by].to_bytes(8, "big") + body)
        mac = hmac.digest(key, written + public[1 - by], "sha256")[:16]
        vectors.append({
            "sender_private": b64(private[by]), "receiver_private": b64(private[1 - by]),
            "sender_public": b64(public[by]), "receiver_public": b64(public[1 - by]),
            "receiver_session": (bytes(8) if i == 0 else session[1 - by]).hex(),
            "sender_session": session[by].hex(), "counter": counters[by], "key": b64(key),
            "message": message, "body": b64(body), "datagram": b64(written + mac),
        })
    return vectors


def main() -> int:
    files = {
        "overlay_address.json": overlay_vectors(),
        "proof.json": {
            "about": "agent/core/proof.h and sealed_invite.h; private keys are samples, not clamped",
            "vectors": [proof_vector(i) for i in range(6)],
        },
        "bootstrap_set.json": {
            "about": "agent/core/bootstrap_set.h; the last one is as large as a set can be",
            "vectors": bootstrap_vectors(),
        },
        "link_message.json": {
            "about": "agent/mesh/link_message.h and courier.h: one conversation, from the first datagram",
            "vectors": link_vectors(),
        },
        "org_document.json": {
            "about": "agent/core/org_document.h",
            "vectors": document_vectors(),
        },
        "fallback.json": {
            "about": 'agent/mesh/members.h: members by SHA-256("fortros/fallback/v1" || order (one byte) || '
                     "public key), in order 0 by the public key; each order is a ring; of: the two nearest "
                     "to each side of some members, and of one that is none",
            "vectors": [fallback_vector(count) for count in (1, 5, 32)],
        },
    }
    wrong = 0
    for name, content in files.items():
        text = json.dumps(content, indent=2) + "\n"
        if sys.argv[1:] == ["--check"]:
            if (HERE / name).read_text() != text:
                print(f"{name} is not what make.py makes", file=sys.stderr)
                wrong = 1
        else:
            (HERE / name).write_text(text)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
