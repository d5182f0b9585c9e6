"""Takes a unified kernel image apart: a PE file whose sections are kernel, initrd and command line."""

import pathlib
import struct


def sections(path):
    """Section name ('.linux', '.initrd', '.cmdline', ...) to content."""
    data = pathlib.Path(path).read_bytes()
    header = struct.unpack_from("<I", data, 60)[0]
    if data[:2] != b"MZ" or data[header:header + 4] != b"PE\0\0":
        raise ValueError(f"{path}: no PE file")
    count, optional_size = struct.unpack_from("<H12xH", data, header + 6)
    found = {}
    for at in range(header + 24 + optional_size, header + 24 + optional_size + 40 * count, 40):
        name, size, _, stored_size, offset = struct.unpack_from("<8sIIII", data, at)
        found[name.rstrip(b"\0").decode()] = data[offset:offset + min(size, stored_size)]
    return found
