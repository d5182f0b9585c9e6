"""Takes programs, their libraries, kernel and modules out of the system that we run in, for guests.

Reads only; what it finds goes into a cpio.Tree.
"""

import lzma
import pathlib
import re
import shutil
import subprocess

BUSYBOX = pathlib.Path("/usr/bin/busybox")
MODULE_SUFFIX = re.compile(r"\.ko(\.xz|\.zst|\.gz)?$")


def kernel_release():
    """The newest kernel that is installed here (the one that is running is another)."""
    releases = [path.name.removeprefix("vmlinuz-") for path in pathlib.Path("/boot").glob("vmlinuz-*")]
    if not releases:
        raise FileNotFoundError("/boot/vmlinuz-*: no kernel here; run inside scripts/shell")
    return max(releases, key=lambda release: [int(number) for number in re.findall(r"\d+", release)])


def kernel():
    return pathlib.Path(f"/boot/vmlinuz-{kernel_release()}")


def add_busybox(tree):
    """Busybox and the names of all its applets in /bin."""
    tree.file("/bin/busybox", BUSYBOX, 0o755)
    done = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True)
    for applet in done.stdout.split():
        if applet != "busybox":
            tree.link(f"/bin/{applet}", "busybox")


def libraries_of(program):
    """The shared libraries of a program, its loader included, by the names it asks for."""
    done = subprocess.run(["ldd", program], check=False, capture_output=True, text=True)
    if done.returncode:  # static programs have none
        return []
    missing = re.findall(r"^\s*(\S+) => not found", done.stdout, re.M)
    if missing:
        raise FileNotFoundError(f"{program}: no {', '.join(missing)} here")
    return [pathlib.Path(path) for path in re.findall(r"(/\S+) \(0x", done.stdout)]


def add_program(tree, program, to=None):
    """A program, by name or path, and its libraries. In the guest it is `to`, by default /bin/NAME."""
    path = shutil.which(str(program), path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")
    if path is None:
        raise FileNotFoundError(f"{program} is not here")
    path = pathlib.Path(path)
    tree.file(to or f"/bin/{path.name}", path, 0o755)
    for library in libraries_of(path):
        tree.file(str(library), library.resolve(), 0o755)


def add_modules(tree, names, release=None):
    """Kernel modules and what they need, uncompressed, with the indices that modprobe reads."""
    release = release or kernel_release()
    source = pathlib.Path("/lib/modules") / release
    target = f"/lib/modules/{release}"
    depends = _dependencies(source)
    builtin = {_module_name(line) for line in (source / "modules.builtin").read_text().split()}
    wanted = {}
    waiting = [name.replace("-", "_") for name in names]
    while waiting:
        name = waiting.pop()
        if name in wanted or name in builtin:
            continue
        if name not in depends:
            raise FileNotFoundError(f"kernel {release} has no module {name}")
        wanted[name] = depends[name]
        waiting += [_module_name(path) for path in depends[name][1:]]
    lines = []
    for files in wanted.values():
        tree.file(f"{target}/{_plain(files[0])}", _decompressed(source / files[0]))
        lines.append(f"{_plain(files[0])}: {' '.join(_plain(path) for path in files[1:])}\n")
    tree.file(f"{target}/modules.dep", "".join(sorted(lines)))
    tree.file(f"{target}/modules.alias", "".join(
        line for line in (source / "modules.alias").read_text().splitlines(True)
        if line.split()[-1] in wanted))
    tree.file(f"{target}/modules.builtin", source / "modules.builtin")


def _dependencies(source):
    depends = {}
    for line in (source / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        depends[_module_name(path)] = [path, *rest.split()]
    return depends


def _module_name(path):
    return MODULE_SUFFIX.sub("", path.rsplit("/", 1)[-1]).replace("-", "_")


def _plain(path):
    return MODULE_SUFFIX.sub(".ko", path)


def _decompressed(path):
    if path.suffix == ".ko":
        return path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    unpack = {".zst": "zstd", ".gz": "gzip"}[path.suffix]
    return subprocess.run([unpack, "-dc", path], check=True, capture_output=True).stdout
