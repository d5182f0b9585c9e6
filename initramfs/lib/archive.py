"""The image's files as values, and the newc archive that Linux unpacks as its first root.

The same files give the same bytes: sorted, owned by root, one modification time, no inode numbers
of the building machine. Nothing is read from disk here but the files that a caller names.
"""

import dataclasses
import pathlib
import stat

BLOCK = 512  # an archive ends on a block, as cpio(1) writes it


@dataclasses.dataclass(frozen=True)
class Entry:
    mode: int  # type and permissions, as in st_mode
    data: bytes  # of a file its content, of a symbolic link its target
    group: str  # what it is counted under in the table of sizes


class Archive:
    def __init__(self, modification_time):
        self.entries = {}
        self._modification_time = modification_time

    def add_folder(self, path, mode=0o755):
        if path in ("", "/"):
            return
        self.add_folder(str(pathlib.PurePosixPath(path).parent))
        self.entries.setdefault(path, Entry(stat.S_IFDIR | mode, b"", ""))

    def add_file(self, path, data, mode, group):
        self._add(path, Entry(stat.S_IFREG | mode, data, group))

    def add_link(self, path, target, group):
        self._add(path, Entry(stat.S_IFLNK | 0o777, target.encode(), group))

    def _add(self, path, entry):
        if path in self.entries:
            raise ValueError(f"{path} would be in the image twice")
        self.add_folder(str(pathlib.PurePosixPath(path).parent))
        self.entries[path] = entry

    def groups(self):
        """In the order in which they were added."""
        return list(dict.fromkeys(entry.group for entry in self.entries.values() if entry.group))

    def files(self, group):
        return [entry for entry in self.entries.values() if entry.group == group]

    def cpio(self, group=None):
        """The whole archive, or what one group's files alone would be."""
        out = bytearray()
        for inode, (path, entry) in enumerate(sorted(self.entries.items()), 1):
            if group in (None, entry.group):
                self._append(out, inode, path.lstrip("/"), entry.mode, entry.data)
        self._append(out, 0, "TRAILER!!!", 0, b"")
        return bytes(out) + bytes(-len(out) % BLOCK)

    def _append(self, out, inode, name, mode, data):
        # Documentation/driver-api/early-userspace/buffer-format.rst
        links = 2 if stat.S_ISDIR(mode) else 1
        time = self._modification_time if inode else 0
        fields = (inode, mode, 0, 0, links, time, len(data), 0, 0, 0, 0, len(name.encode()) + 1, 0)
        out += ("070701" + "".join(f"{field:08x}" for field in fields) + name + "\0").encode()
        out += bytes(-len(out) % 4)
        out += data
        out += bytes(-len(out) % 4)
