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


def proof_vector(i: int) -> dict:
    node, gateway = sample(f"node {i}"), sample(f"gateway {i}")
    exporter = sample(f"exporter {i}")
    method, target = "POST", ["/v1/enroll", "/v1/join"][i % 2]
    body = [b'{"version":1}', b"", bytes(range(256))][i % 3]
    status, retry_after, answer = [(200, 0, b"{}"), (503, 30, b"busy"), (202, 600, b"")][i % 3]
    node_public, gateway_public = public_of(node), public_of(gateway)
    shared = x25519(node, gateway_public)
    assert shared == x25519(gateway, node_public)
    # HKDF (RFC 5869) with one block of output.
    extracted = hmac.digest(exporter, shared, "sha256")
    info = b"fortros/proof/v1" + node_public + gateway_public
    key = hmac.digest(extracted, info + b"\1", "sha256")
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
        "answer_proof": b64(answered),
    }


def main() -> int:
    files = {
        "overlay_address.json": overlay_vectors(),
        "proof.json": {
            "about": "agent/core/proof.h; private keys are samples, not clamped",
            "vectors": [proof_vector(i) for i in range(6)],
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
