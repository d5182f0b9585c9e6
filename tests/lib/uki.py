"""Takes a unified kernel image apart: a PE file whose sections are kernel, initrd and command line. And changes one
byte of a file in its initrd, as somebody would who has the disk and not the key: nothing else of the image moves.
"""

import pathlib
import struct
import subprocess

SIGNED_LEVEL, CHANGED_LEVEL = 3, 9  # of zstd

def sections(path):
    """Section name ('.linux', '.initrd', '.cmdline', ...) to content."""
    data = pathlib.Path(path).read_bytes()
    return {name: data[offset:offset + size] for name, (offset, size) in places(data).items()}


def places(data):
    """Section name to offset and size."""
    header = struct.unpack_from("<I", data, 60)[0]
    if data[:2] != b"MZ" or data[header:header + 4] != b"PE\0\0":
        raise ValueError(f"{path}: no PE file")
    count, optional_size = struct.unpack_from("<H12xH", data, header + 6)
    found = {}
    for at in range(header + 24 + optional_size, header + 24 + optional_size + 40 * count, 40):
        name, size, _, stored_size, offset = struct.unpack_from("<8sIIII", data, at)
        found[name.rstrip(b"\0").decode()] = offset, min(size, stored_size)
    return found


def unpacked_initrd(path):
    """The archive in it."""
    return _zstd("-d", sections(path)[".initrd"])


def with_changed_byte(path, output, before, after):
    """Writes the image with `before`, which is in its initrd once, as `after`: they differ in one byte."""
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1, (before, after)
    data = bytearray(pathlib.Path(path).read_bytes())
    offset, size = places(data)[".initrd"]
    archive = _zstd("-d", bytes(data[offset:offset + size]))
    assert archive.count(before) == 1, f"{before} is {archive.count(before)} times in the initrd"
    # Compressed a little better than it was, so that it fits; the kernel takes zeros behind it.
    packed = _zstd(f"-{CHANGED_LEVEL}", archive.replace(before, after))
    assert len(packed) <= size, f"{len(packed)} bytes instead of {size}"
    data[offset:offset + size] = packed.ljust(size, b"\0")
    pathlib.Path(output).write_bytes(data)
    return output


def _zstd(how, data):
    return subprocess.run(["zstd", how, "--quiet", "--stdout"], input=data, check=True, capture_output=True).stdout
