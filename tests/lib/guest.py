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

import base64
import contextlib
import dataclasses
import pathlib
import shlex
import tempfile
import threading

from lib import cpio, qemu, sysroot

INIT = pathlib.Path(__file__).with_name("guest-init.sh")
READY = "ready"
BOOT_TIMEOUT_S = 90
COMMAND_TIMEOUT_S = 60
ANSWER_SLACK_S = 30  # the guest itself ends a command in time; we give up later than it
PUT_CHUNK = 48 * 1024


@dataclasses.dataclass(frozen=True)
class Completed:
    command: str
    status: int
    stdout: str
    stderr: str


class CommandFailed(AssertionError):
    pass


class Guest:
    """`files`: absolute path in the guest → bytes, text or the Path of a file here, or a pair of
    that and a mode. `programs`: names, or paths of files here, that are copied into /bin with their
    libraries. `modules` are loaded before the first command.
    """

    def __init__(self, name="guest", *, files=None, programs=(), modules=(), nics=(), memory_mib=256,
                 command_line="", folder=None, on_line=None, disks=()):
        self.name = name
        self._own_folder = None if folder else tempfile.TemporaryDirectory(prefix="guest-")
        self.folder = pathlib.Path(folder or self._own_folder.name)
        self._lock = threading.Lock()
        self._number = 0
        modules = [*(["virtio_net"] if nics else []), *(["virtio_blk"] if disks else []), "virtio_rng", *modules]
        initrd = self.folder / f"{name}.initrd"
        initrd.write_bytes(self._tree(files or {}, programs, modules).newc())
        self._machine_options = {
            "kernel": qemu.Kernel(sysroot.kernel(), initrd, f"quiet loglevel=4 {command_line}"),
            "nics": nics, "memory_mib": memory_mib, "channels": ["commands"], "on_line": on_line, "disks": disks,
        }
        self.machine = None

    @staticmethod
    def _tree(files, programs, modules):
        tree = cpio.Tree()
        for folder in ("/dev", "/proc", "/sys", "/run", "/tmp", "/root", "/var/log", "/mnt"):
            tree.folder(folder)
        sysroot.add_busybox(tree)
        tree.link("/sbin", "bin")
        tree.file("/init", INIT, 0o755)
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
        self._answers = self.machine.channels["commands"].makefile("rb")

    def wait_ready(self):
        self._expect_line(READY, BOOT_TIMEOUT_S)

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

    def run(self, command, *, check=True, timeout_s=COMMAND_TIMEOUT_S):
        """Runs a shell command. `cmd &` leaves a daemon behind. CommandFailed unless status 0 or not check."""
        with self._lock:
            self._number += 1
            line = f"{self._number} {timeout_s} {base64.b64encode(command.encode()).decode()}\n"
            try:
                self.machine.channels["commands"].sendall(line.encode())
            except OSError:
                self.machine.fail(f"it ended before this command: {command}")
            status, stdout, stderr = self._expect_line(str(self._number), timeout_s + ANSWER_SLACK_S, command)
        done = Completed(command, int(status), _text(stdout), _text(stderr))
        if check and done.status != 0:
            how = f"did not end within {timeout_s} s" if done.status == 137 else f"status {done.status}"
            raise CommandFailed(f"{self.name}: {command}: {how}\n{done.stdout}{done.stderr}".rstrip())
        return done

    def _expect_line(self, first_word, timeout_s, command="its first word"):
        """The other words of the next line, which must begin with `first_word`."""
        self.machine.channels["commands"].settimeout(timeout_s)
        try:
            line = self._answers.readline()
        except TimeoutError:
            self.machine.fail(f"no answer within {timeout_s} s to: {command}")
        word, *rest = line.decode().split() or [""]
        if not line.endswith(b"\n") or word != first_word:
            self.machine.fail(f"it ended while we waited for: {command}")
        return rest

    def put(self, path, content, mode=0o644):
        """Writes a file in the guest; whole, or not at all."""
        data = content.encode() if isinstance(content, str) else content
        part = shlex.quote(path + ".part")
        self.run(f"mkdir -p {shlex.quote(str(pathlib.PurePosixPath(path).parent))} && : >{part}")
        for start in range(0, len(data), PUT_CHUNK):
            chunk = base64.b64encode(data[start:start + PUT_CHUNK]).decode()
            self.run(f"base64 -d >>{part} <<'end'\n{chunk}\nend\n")
        self.run(f"chmod {mode:o} {part} && mv {part} {shlex.quote(path)}")

    def get(self, path):
        """A file of the guest, as bytes."""
        return base64.b64decode(self.run(f"base64 {shlex.quote(path)}").stdout)

    def read(self, path):
        return self.get(path).decode("utf-8", "replace")

    def wait_until(self, command, *, timeout_s=30):
        """Until a shell command succeeds; asked again and again inside the guest."""
        done = self.run(f"until {{ {command}\n}} >/tmp/wait 2>&1; do usleep 100000; done; cat /tmp/wait",
                        check=False, timeout_s=timeout_s)
        if done.status != 0:
            said = self.run("cat /tmp/wait", check=False).stdout
            raise CommandFailed(f"{self.name}: not within {timeout_s} s: {command}\n{said}".rstrip())
        return done


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


def _text(word):
    return base64.b64decode(word.removeprefix("=")).decode("utf-8", "replace")
