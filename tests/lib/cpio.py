"""File trees as values, and as the newc archives that Linux takes for an initramfs.

Only writes archives, and reads files of this machine only where a caller names them.
"""

import dataclasses
import pathlib
import stat

NEWC_MAGIC = "070701"
TRAILER = "TRAILER!!!"


@dataclasses.dataclass(frozen=True)
class Entry:
    mode: int  # type and permissions, as in st_mode
    data: bytes = b""  # of a file its content, of a symbolic link its target


class Tree:
    """Files, folders and links by their absolute paths; owned by root when they become an archive."""

    def __init__(self):
        self.entries = {}

    def folder(self, path, mode=0o755):
        path = pathlib.PurePosixPath("/", path)
        if path.parent != path:
            self._parents(path)
            self.entries.setdefault(str(path), Entry(stat.S_IFDIR | mode))

    def file(self, path, content, mode=0o644):
        """`content`: bytes, text, or the pathlib.Path of a file of this machine."""
        if isinstance(content, pathlib.Path):
            content = content.read_bytes()
        elif isinstance(content, str):
            content = content.encode()
        self._parents(path)
        self.entries[str(path)] = Entry(stat.S_IFREG | mode, content)

    def link(self, path, target):
        self._parents(path)
        self.entries[str(path)] = Entry(stat.S_IFLNK | 0o777, str(target).encode())

    def _parents(self, path):
        self.folder(pathlib.PurePosixPath("/", path).parent)

    def newc(self):
        """The whole archive, uncompressed."""
        out = bytearray()
        for number, (path, entry) in enumerate(sorted(self.entries.items()), 1):
            _append(out, number, path.lstrip("/"), entry.mode, entry.data)
        _append(out, 0, TRAILER, 0, b"")
        return bytes(out)

    def write_to(self, folder):
        """The same as real files below `folder`, for programs that want to read them there."""
        folder = pathlib.Path(folder)
        for path, entry in sorted(self.entries.items()):
            real = folder / path.lstrip("/")
            if stat.S_ISDIR(entry.mode):
                real.mkdir(parents=True, exist_ok=True)
            elif stat.S_ISLNK(entry.mode):
                real.symlink_to(entry.data.decode())
                continue
            else:
                real.write_bytes(entry.data)
            real.chmod(stat.S_IMODE(entry.mode))


def _append(out, number, name, mode, data):
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    out += (NEWC_MAGIC + "".join(f"{field:08x}" for field in fields) + name + "\0").encode()
    out += bytes(-len(out) % 4)
    out += data
    out += bytes(-len(out) % 4)
