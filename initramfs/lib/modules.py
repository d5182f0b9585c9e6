"""Kernel modules for an image: which files a list of names needs, and the indices that busybox's
modprobe reads. Nothing is loaded here, and only the given modules folder is read."""

import lzma
import pathlib
import re
import subprocess

SUFFIX = re.compile(r"\.ko(\.xz|\.zst|\.gz)?$")


class UnknownModule(Exception):
    pass


def name_of(path):
    """The name of a module as modprobe has it: wireguard for .../wireguard.ko.xz."""
    return SUFFIX.sub("", path.rsplit("/", 1)[-1]).replace("-", "_")


def read_lists(path):
    """{"load": [...], "drivers": [...]} of a file such as modules.conf."""
    lists = {"load": [], "drivers": []}
    section = None
    for number, line in enumerate(pathlib.Path(path).read_text(encoding="utf-8").splitlines(), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        if line in ("[load]", "[drivers]"):
            section = line.strip("[]")
        elif section and re.fullmatch(r"[\w-]+", line):
            lists[section].append(line)
        else:
            raise ValueError(f"{path}:{number}: neither [load], [drivers] nor the name of a module")
    return lists


class ModuleFolder:
    """A kernel's modules as depmod(8) left them, /lib/modules/RELEASE."""

    def __init__(self, folder):
        self._folder = pathlib.Path(folder)
        self.release = self._folder.resolve().name
        # Name of each module → its file and the files of what it depends on.
        self._files = {}
        for line in self._lines("modules.dep"):
            path, _, needed = line.partition(":")
            self._files[name_of(path)] = [path, *needed.split()]
        self._builtin = {name_of(line) for line in self._lines("modules.builtin")}
        # softdep: also to be loaded; weakdep: may be asked for later.
        self._companions = {}
        for line in self._lines("modules.softdep", "modules.weakdep"):
            kind, name, *others = line.split() or [""]
            if kind in ("softdep", "weakdep"):
                names = [other for other in others if other not in ("pre:", "post:")]
                self._companions.setdefault(name.replace("-", "_"), []).extend(names)

    def _lines(self, *names):
        lines = []
        for name in names:
            path = self._folder / name
            if path.exists() or name in ("modules.dep", "modules.builtin"):
                lines += path.read_text(encoding="utf-8").splitlines()
        return lines

    def has(self, name):
        """"module", "builtin" or None."""
        name = name.replace("-", "_")
        return "module" if name in self._files else "builtin" if name in self._builtin else None

    def closure(self, names):
        """The names of the modules, with all that they need, that are not built in."""
        found = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop().replace("-", "_")
            if name in found or name in self._builtin:
                continue
            if name not in self._files:
                raise UnknownModule(f"kernel {self.release} has no module {name}")
            found.add(name)
            waiting += [name_of(path) for path in self._files[name][1:]]
            waiting += [other for other in self._companions.get(name, []) if self.has(other)]
        return sorted(found)

    def add_to(self, archive, names, group):
        """Adds the modules, not compressed (the archive is), and their indices."""
        target = f"/lib/modules/{self.release}"
        dependencies = []
        for name in names:
            path, *needed = self._files[name]
            archive.add_file(f"{target}/{SUFFIX.sub('.ko', path)}", self._content(path), 0o644, group)
            plain = [SUFFIX.sub(".ko", other) for other in needed]
            dependencies.append(f"{SUFFIX.sub('.ko', path)}: {' '.join(plain)}\n")
        wanted = set(names)
        aliases = [line + "\n" for line in self._lines("modules.alias") if line.split()[-1] in wanted]
        builtin = [line + "\n" for line in self._lines("modules.builtin")]
        for file, lines in (("dep", dependencies), ("alias", aliases), ("builtin", builtin)):
            archive.add_file(f"{target}/modules.{file}", "".join(lines).encode(), 0o644, group)

    def _content(self, path):
        path = self._folder / path
        if path.suffix == ".ko":
            return path.read_bytes()
        if path.suffix == ".xz":
            return lzma.decompress(path.read_bytes())
        program = {".zst": "zstd", ".gz": "gzip"}[path.suffix]
        return subprocess.run([program, "-dc", path], check=True, capture_output=True).stdout
