"""A small Linux guest with a command channel: for tests that need a real kernel with WireGuard.

    with Guest(programs=["wg", "ip"], modules=["wireguard"], files={"/etc/key": "..."}) as guest:
        guest.run("ip link add wg0 type wireguard && wg set wg0 private-key /etc/key")
        print(guest.run("wg show").stdout)

Direct kernel boot, everything in memory, busybox's applets in /bin. About 5 s to the first command.
The guest's network is what the caller gives it as `nics`; by default none. Two guests on one cable:

    cable = qemu.Cable(folder)
    a = Guest("a", nics=[qemu.Nic(cable.a, "52:54:00:00:00:01", capture=folder / "a.pcap")])
    b = Guest("b", nics=[qemu.Nic(cable.b, "52:54:00:00:00:02")])
    with together(a, b): ...  # each has eth0, down and without an address
"""

import atexit
import contextlib
import functools
import pathlib
import tempfile

from lib import commands, cpio, qemu, sysroot
from lib.commands import CommandFailed, Commands  # CommandFailed for our users

INIT = pathlib.Path(__file__).with_name("guest-init.sh")
BOOT_TIMEOUT_S = 90
OWN_TIME_SLOWNESS = 6  # of a guest with a time of its own, on a host that has hardly any for it
COMMAND_LINE = f"quiet loglevel=4 {qemu.KERNEL_WORDS}"


class Guest:
    """`files`: absolute path in the guest → bytes, text or the Path of a file here, or a pair of
    that and a mode. `programs`: names, or paths of files here, that are copied into /bin with their
    libraries; the guest's shell takes busybox's own for a name without a slash, unless `prefer_programs`.
    `modules` are loaded before the first command. `own_time`: see qemu.OWN_TIME; timeouts are in it, too.
    """

    def __init__(self, name="guest", *, files=None, programs=(), modules=(), nics=(), memory_mib=256,
                 command_line="", folder=None, on_line=None, disks=(), prefer_programs=False,
                 own_time=False):
        self.name = name
        names = [pathlib.Path(program).name for program in programs] if prefer_programs else []
        self._aliases = "".join(f"alias {program}=/bin/{program}\n" for program in names)
        self._own_folder = None if folder else tempfile.TemporaryDirectory(prefix="guest-")
        self.folder = pathlib.Path(folder or self._own_folder.name)
        modules = [*(["virtio_net"] if nics else []), *(["virtio_blk"] if disks else []), "virtio_rng", *modules]
        initrd = self.folder / f"{name}.initrd"
        initrd.write_bytes(self._tree(files or {}, programs, modules).newc())
        self._machine_options = {
            "kernel": qemu.Kernel(sysroot.kernel(), initrd, f"{COMMAND_LINE} {command_line}"),
            "nics": nics, "memory_mib": memory_mib, "channels": [commands.PORT], "on_line": on_line, "disks": disks,
            "own_time": own_time,
        }
        self._slowness = OWN_TIME_SLOWNESS if own_time else 1
        self.machine = None
        self.commands = None

    @staticmethod
    def _tree(files, programs, modules):
        tree = cpio.Tree()
        for folder in ("/dev", "/proc", "/sys", "/run", "/tmp", "/root", "/var/log", "/mnt"):
            tree.folder(folder)
        sysroot.add_busybox(tree)
        tree.link("/sbin", "bin")
        tree.file("/init", INIT, 0o755)
        tree.file("/bin/serve-commands", commands.SERVER, 0o755)
        tree.file("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
        tree.file("/etc/group", "root:x:0:\nnogroup:x:65534:\n")
        tree.file("/etc/modules", "".join(f"{module}\n" for module in modules))
        sysroot.add_modules(tree, modules)
        for program in programs:
            sysroot.add_program(tree, program)
        for path, content in files.items():
            content, mode = content if isinstance(content, tuple) else (content, 0o644)
            tree.file(path, content, mode)
        return tree

    def power_on(self):
        self.machine = qemu.Machine(self.name, self.folder, **self._machine_options)
        self.machine.__enter__()
        self.commands = Commands(self.machine, self._slowness)

    def wait_ready(self):
        self.commands.wait_ready(self._slowness * BOOT_TIMEOUT_S)

    def stop(self):
        if self.machine:
            self.machine.kill()
        if self._own_folder:
            self._own_folder.cleanup()

    def __enter__(self):
        try:
            self.power_on()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    # A guest is driven by its commands; see commands.Commands.

    def run(self, command, **options):
        return self.commands.run(self._aliases + command, **options)

    def put(self, path, content, mode=0o644):
        self.commands.put(path, content, mode)

    def get(self, path):
        return self.commands.get(path)

    def read(self, path):
        return self.commands.read(path)

    def wait_until(self, command, **options):
        return self.commands.wait_until(command, before=self._aliases, **options)


class SharedGuest:
    """One guest for all tests of a file, from the first that needs it to the file's end.

        guest = SharedGuest(lambda: Guest(programs=["ip"], prefer_programs=True), set_up)

    `set_up` is given the guest when it is ready. One attempt is enough for all tests: each is told why it failed.
    """

    def __init__(self, make, set_up=lambda guest: None):
        self._make = make
        self._set_up = set_up

    @functools.cached_property
    def _started(self):
        guest = self._make()
        atexit.register(guest.stop)
        try:
            guest.__enter__()
            self._set_up(guest)
        except Exception as error:
            return guest, error
        return guest, None

    def _ready(self):
        guest, error = self._started
        if error:
            raise RuntimeError(f"the guest is not ready: {error}")
        return guest

    def run(self, command, **options):
        return self._ready().run(command, **options)

    def put(self, path, content, mode=0o644):
        self._ready().put(path, content, mode)

    def read(self, path):
        return self._ready().read(path)

    def wait_until(self, command, **options):
        return self._ready().wait_until(command, **options)


@contextlib.contextmanager
def together(*guests):
    """Guests that boot beside each other: `with together(a, b): ...`."""
    try:
        for guest in guests:
            guest.power_on()
        for guest in guests:
            guest.wait_ready()
        yield guests
    finally:
        for guest in guests:
            guest.stop()
