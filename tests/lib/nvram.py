"""The variables in an OVMF machine's NVRAM file, read and prepared while the machine is off.

Never touched while a machine runs on the file. Layout: EDK2's MdePkg/Include/Pi/PiFirmwareVolume.h
and MdeModulePkg/Include/Guid/VariableFormat.h (authenticated variables).
"""

import dataclasses
import hashlib
import pathlib
import struct
import uuid

FORTROS = uuid.UUID("ac713719-c4fe-4ca1-ae08-285342dd98af")
CRASH_DUMPS = uuid.UUID("cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0")  # LINUX_EFI_CRASH_GUID
NON_VOLATILE, BOOT_SERVICE, RUNTIME = 1, 2, 4

STORE_SIGNATURE = uuid.UUID("aaf32c78-947b-439a-a180-2e144ec37792").bytes_le
STORE_HEADER = struct.Struct("<16sIBBHI")
# start id, state, reserved, attributes, monotonic count, time stamp, public key index, name size,
# data size, vendor
VARIABLE_HEADER = struct.Struct("<HBBIQ16sIII16s")
VARIABLE_START = 0x55AA
ADDED = 0x3F
IN_DELETED_TRANSITION = 0x3E
ERASED = 0xFF


@dataclasses.dataclass(frozen=True)
class Variable:
    vendor: uuid.UUID
    name: str
    attributes: int
    data: bytes


class Nvram:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self._data = bytearray(self.path.read_bytes())
        fv_header_size = struct.unpack_from("<H", self._data, 48)[0]
        signature, size, *_ = STORE_HEADER.unpack_from(self._data, fv_header_size)
        if self._data[40:44] != b"_FVH" or signature != STORE_SIGNATURE:
            raise ValueError(f"{path}: no authenticated variable store in it")
        self._begin = _aligned(fv_header_size + STORE_HEADER.size)
        self._limit = fv_header_size + size
        self._end = self._begin
        self.variables = []
        while self._end + VARIABLE_HEADER.size <= self._limit:
            start, state, _, attributes, _, _, _, name_size, data_size, vendor = VARIABLE_HEADER.unpack_from(
                self._data, self._end)
            if start != VARIABLE_START:
                break
            at = self._end + VARIABLE_HEADER.size
            if state in (ADDED, IN_DELETED_TRANSITION):
                name = self._data[at:at + name_size].decode("utf-16-le").rstrip("\0")
                data = bytes(self._data[at + name_size:at + name_size + data_size])
                self.variables.append(Variable(uuid.UUID(bytes_le=vendor), name, attributes, data))
            self._end = _aligned(at + name_size + data_size)

    @property
    def free(self):
        """Bytes behind the last variable."""
        return self._limit - self._end

    def ours(self):
        """Our own variables by their names."""
        return {variable.name: variable for variable in self.variables if variable.vendor == FORTROS}

    def foreign(self):
        """Everybody else's variables."""
        return [variable for variable in self.variables if variable.vendor != FORTROS]

    def compact(self):
        """What firmware does when it needs room: variables that are gone leave no trace."""
        self._data[self._begin:self._limit] = bytes([ERASED]) * (self._limit - self._begin)
        self._end = self._begin
        for variable in self.variables:
            self._append(variable)
        self.path.write_bytes(self._data)

    def remove(self, name):
        """Deletes a variable of ours; its old bytes are not left behind either."""
        self.variables.remove(self.ours()[name])
        self.compact()

    def add(self, name, data, vendor=FORTROS, attributes=NON_VOLATILE | BOOT_SERVICE | RUNTIME):
        """Writes one more variable into the file."""
        self._append(Variable(vendor, name, attributes, data))
        self.path.write_bytes(self._data)

    def _append(self, variable):
        name = (variable.name + "\0").encode("utf-16-le")
        record = VARIABLE_HEADER.pack(VARIABLE_START, ADDED, 0, variable.attributes, 0, bytes(16), 0, len(name),
                                      len(variable.data), variable.vendor.bytes_le) + name + variable.data
        if len(record) > self.free or any(byte != ERASED for byte in self._data[self._end:self._end + len(record)]):
            raise ValueError(f"{self.path}: no place for {len(record)} bytes")
        self._data[self._end:self._end + len(record)] = record
        self._end = _aligned(self._end + len(record))


def key_record(private_key):
    """What the agent stores as FortrosKey (agent/os/stores.h)."""
    head = b"FORTKEY\x01" + private_key
    return head + hashlib.sha256(head).digest()[:8]


def _aligned(offset):
    return (offset + 3) & ~3
