"""Tells whether a program needs anything beside itself. Reads 64-bit little-endian ELF only."""

import dataclasses
import pathlib
import struct

PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NULL, DT_NEEDED = 0, 1
SHT_SYMTAB = 2


@dataclasses.dataclass(frozen=True)
class Elf:
    size: int
    has_interpreter: bool
    needed_count: int  # shared libraries that it names
    is_stripped: bool

    @property
    def is_static(self):
        return not self.has_interpreter and self.needed_count == 0


def read(path):
    data = pathlib.Path(path).read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError(f"{path}: no 64-bit little-endian ELF file")
    segments_at, sections_at = struct.unpack_from("<QQ", data, 32)
    segment_size, segment_count, section_size, section_count = struct.unpack_from("<HHHH", data, 54)
    interpreter, needed = False, 0
    for at in range(segments_at, segments_at + segment_count * segment_size, segment_size):
        kind, _, offset, _, _, size = struct.unpack_from("<IIQQQQ", data, at)
        interpreter |= kind == PT_INTERP
        if kind == PT_DYNAMIC:
            needed += _needed(data, offset, size)
    kinds = [struct.unpack_from("<I", data, sections_at + number * section_size + 4)[0]
             for number in range(section_count)]
    return Elf(len(data), interpreter, needed, SHT_SYMTAB not in kinds)


def _needed(data, offset, size):
    count = 0
    for at in range(offset, offset + size, 16):
        tag = struct.unpack_from("<q", data, at)[0]
        if tag == DT_NULL:
            break
        count += tag == DT_NEEDED
    return count
