"""Looks for secrets where they must not be: in bytes, in files, in the memory of a process.

A secret is looked for in the forms that programs give it: raw, base64, base64url, hexadecimal, and
as C and JSON escape bytes.
"""

import base64
import collections
import pathlib

CHUNK = 1024 * 1024


class Secret:
    """`value`: its bytes, or its text."""

    def __init__(self, name, value):
        value = value.encode() if isinstance(value, str) else bytes(value)
        assert len(value) >= 16, f"{name} is too short to be looked for"
        self.name = name
        self.forms = {
            "raw": value,
            "hexadecimal": value.hex().encode(),
            "upper-case hexadecimal": value.hex().upper().encode(),
            "C": b"".join(b"\\x%02x" % byte for byte in value),
            "JSON": b"".join(b"\\u%04x" % byte for byte in value),
        }
        # In a larger text a secret may begin anywhere in a group of three bytes, and only whole groups
        # look the same whatever is around them.
        for skipped in range(3):
            groups = value[skipped:][:(len(value) - skipped) // 3 * 3]
            self.forms[f"base64, {skipped}"] = base64.b64encode(groups)
            self.forms[f"base64url, {skipped}"] = base64.urlsafe_b64encode(groups)


def second_half(name, value):
    """For memory that was given back: the C library itself writes over its first bytes."""
    return Secret(name, value[len(value) // 2:])


def count(content, secrets):
    """(secret's name, form) → how often."""
    found = collections.Counter()
    for secret in secrets:
        for form, pattern in secret.forms.items():
            if times := content.count(pattern):
                found[secret.name, form] += times
    return found


def expect_none(places, secrets):
    """`places`: name → content. First of all the search itself must find what is there."""
    for secret in secrets:
        for form, pattern in secret.forms.items():
            assert count(b"before " + pattern + b" after", [secret])[secret.name, form], f"the search misses {form}"
    found = {place: dict(there) for place, content in places.items() if (there := count(content, secrets))}
    assert not found, f"secrets lie about: {found}"


def in_memory(pid, secrets):
    """The same of all that a process has in its memory: heap, stacks, data, whatever is mapped."""
    found = collections.Counter()
    bytes_seen = 0
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
            addresses, modes, *rest = line.split()
            if not modes.startswith("r") or rest[-1] in ("[vvar]", "[vvar_vclock]", "[vsyscall]"):
                continue
            start, end = (int(address, 16) for address in addresses.split("-"))
            memory.seek(start)
            content = b""
            while start + len(content) < end:
                piece = memory.read(min(CHUNK, end - start - len(content)))
                assert piece, f"{addresses} of process {pid} cannot be read"
                content += piece
            bytes_seen += len(content)
            found += count(content, secrets)
    assert bytes_seen >= CHUNK, "hardly anything could be read"
    return found
