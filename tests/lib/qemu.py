"""Machines under QEMU (TCG): processes that can't outlive their test, with a console that is read live.

A machine's network is a cable to another machine, or nothing. Never user-mode networking, never
the host's network.

    cable = Cable(folder, "lan")
    with Machine("node", folder, firmware=Firmware(vars_file), disks=[esp, root],
                 nics=[Nic(cable.a, "52:54:00:00:00:02", capture=folder / "node.pcap")]) as machine:
        machine.console.wait_for(r"switching to the real root", timeout_s=120)
        machine.wait_for_exit(timeout_s=60)
"""

import dataclasses
import json
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import time

QEMU = "qemu-system-x86_64"
OVMF_CODE = pathlib.Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
OVMF_SECURE_CODE = pathlib.Path("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd")
OVMF_VARS = pathlib.Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
# For every kernel under test. On a busy host the emulated timer may be too slow for the kernel's check of it, which
# then panics; the rest is a quarter of the time to user space, spent on what no test is about.
CERTIFICATES = "load_system_certificate_list"  # by which the kernel knows its modules, where it must
KERNEL_WORDS = ("no_timer_check cryptomgr.notests "
                f"initcall_blacklist=jent_mod_init,crypto_kdf108_init,init_encrypted,{CERTIFICATES}")
# Its clock goes by what it has executed, an instruction a nanosecond, and never faster than ours: however busy the
# host is, nothing in it is late by its own clock. It only takes longer.
OWN_TIME = ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=on"]
CONSOLE_LINES_SHOWN = 40
EXIT_TIMEOUT_S = 10
# Colours and cursor movements, as firmware and kernel like to send them.
TERMINAL_SEQUENCE = re.compile(r"\x1b(\[[0-9;?=]*[A-Za-z]|[()][A-Z0-9]|[=>c])|[\x00-\x08\x0b-\x1a]")


class MachineError(Exception):
    """A machine did not do what was waited for; the text ends with its last console lines."""


class Cable:
    """An Ethernet cable with two ends; either machine may start first, end or start again."""

    def __init__(self, folder, name="lan"):
        paths = [pathlib.Path(folder) / f"{name}.{end}" for end in "ab"]
        for path in paths:
            if len(str(path)) > 100:
                raise ValueError(f"{path}: too long for a socket's address")
        self.a = Plug(paths[0], paths[1])
        self.b = Plug(paths[1], paths[0])


@dataclasses.dataclass(frozen=True)
class Plug:
    own: pathlib.Path
    other: pathlib.Path


@dataclasses.dataclass(frozen=True)
class Nic:
    plug: Plug
    mac: str
    capture: pathlib.Path | None = None  # a pcap of every frame that passes here
    carrier: bool = True  # whether the cable is in when the machine starts


@dataclasses.dataclass(frozen=True)
class Firmware:
    """OVMF with its NVRAM in `variables`, a file that is the machine's own. `secure`: the build that can do Secure
    Boot, which is on where the variables have keys (lib.secure_boot)."""

    variables: pathlib.Path
    secure: bool = False

    @staticmethod
    def fresh(path):
        shutil.copyfile(OVMF_VARS, path)
        return Firmware(pathlib.Path(path))


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel that QEMU loads itself: no firmware variables in such a machine."""

    image: pathlib.Path
    initrd: pathlib.Path
    command_line: str = ""


class Console:
    """What a machine said on its serial port, line by line, from a thread that reads until the end."""

    def __init__(self, stream, log_path, on_line=None):
        self.lines = []
        self.ended = False
        self._stream = stream
        self._log_path = log_path
        self._on_line = on_line
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        with open(self._log_path, "wb") as log:
            rest = b""
            while data := _receive(self._stream):
                log.write(data)
                log.flush()
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._add(line)
            if rest.strip():
                self._add(rest)
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def _add(self, raw):
        line = TERMINAL_SEQUENCE.sub("", raw.decode("utf-8", "replace")).rstrip("\r ").lstrip("\r")
        with self._changed:
            self.lines.append(line)
            self._changed.notify_all()
        if self._on_line:
            self._on_line(line)

    def finish(self):
        """Returns when everything that was said has been read. Only after the machine's end."""
        self._thread.join()

    def text(self):
        return "\n".join(self.lines)

    def tail(self, count=CONSOLE_LINES_SHOWN):
        return "\n".join(f"  | {line}" for line in self.lines[-count:]) or "  | (nothing)"

    def wait_for(self, pattern, timeout_s):
        """The first match in a line, old or new; None at the deadline or the machine's end."""
        deadline = time.monotonic() + timeout_s
        seen = 0
        with self._changed:
            while True:
                for line in self.lines[seen:]:
                    if found := re.search(pattern, line):
                        return found
                seen = len(self.lines)
                if self.ended or not self._changed.wait(deadline - time.monotonic()):
                    if seen == len(self.lines):
                        return None


def _receive(stream):
    try:
        return stream.recv(65536)
    except OSError:
        return b""


class Machine:
    """One run of a machine, from power-on until it switches itself off or is killed."""

    def __init__(self, name, folder, *, firmware=None, kernel=None, disks=(), nics=(), channels=(),
                 memory_mib=256, on_line=None, start_paused=False, own_time=False, extra=()):
        self.name = name
        self.folder = pathlib.Path(folder)
        self._sockets = {}
        self._nics = nics
        ours = {"console": self._socket_pair("console"), "control": self._socket_pair("control")}
        for channel in channels:
            ours[channel] = self._socket_pair(channel)
        command = [
            "setpriv", "--pdeathsig", "KILL",
            QEMU, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-name", name, "-M", f"q35,smm={'on' if firmware and firmware.secure else 'off'},hpet=off", "-cpu", "max",
            "-smp", "1",
            *(OWN_TIME if own_time else ["-accel", "tcg,thread=multi"]),
            "-m", str(memory_mib),
            *(["-S"] if start_paused else []),
            *self._chardev("console"), "-serial", "chardev:console",
            *self._chardev("control"), "-mon", "chardev=control,mode=control",
            "-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng",
            *(self._firmware(firmware) if firmware else self._kernel(kernel)),
            *self._disks(disks, bootable=firmware is not None), *self._network(nics), *self._channels(channels), *extra,
        ]
        self.errors_path = self.folder / f"{name}.qemu.log"
        passed = [theirs.fileno() for theirs in self._sockets.values()]
        with open(self.errors_path, "wb") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                                            pass_fds=passed, start_new_session=True)
        for theirs in self._sockets.values():
            theirs.close()
        self.channels = {channel: ours[channel] for channel in channels}
        self.console = Console(ours["console"], self.folder / f"{name}.console.log", on_line)
        self._control = ours["control"].makefile("rw", encoding="utf-8")

    # --- what QEMU is told ---

    def _socket_pair(self, name):
        ours, theirs = socket.socketpair()
        self._sockets[name] = theirs
        return ours

    def _chardev(self, name):
        return ["-chardev", f"socket,id={name},fd={self._sockets[name].fileno()}"]

    @staticmethod
    def _firmware(firmware):
        code = OVMF_SECURE_CODE if firmware.secure else OVMF_CODE
        return ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={code}",
                "-drive", f"if=pflash,format=raw,unit=1,file={firmware.variables}",
                *(["-global", "driver=cfi.pflash01,property=secure,value=on"] if firmware.secure else [])]

    @staticmethod
    def _kernel(kernel):
        return ["-kernel", str(kernel.image), "-initrd", str(kernel.initrd),
                "-append", f"console=ttyS0 panic=-1 {kernel.command_line}"]

    @staticmethod
    def _disks(disks, bootable):
        out = []
        for number, disk in enumerate(disks):
            out += ["-drive", f"if=none,id=disk{number},format=raw,cache=unsafe,file={disk}",
                    "-device", f"virtio-blk-pci,drive=disk{number}" + (f",bootindex={number}" if bootable else "")]
        return out

    @staticmethod
    def _network(nics):
        out = []
        for number, nic in enumerate(nics):
            out += ["-netdev", f"dgram,id=net{number},local.type=unix,local.path={nic.plug.own}"
                               f",remote.type=unix,remote.path={nic.plug.other}",
                    "-device", f"virtio-net-pci,netdev=net{number},id=nic{number},mac={nic.mac},romfile="]
            if nic.capture:
                out += ["-object", f"filter-dump,id=dump{number},netdev=net{number},file={nic.capture}"]
        return out

    def _channels(self, channels):
        out = ["-device", "virtio-serial-pci"] if channels else []
        for channel in channels:
            out += [*self._chardev(channel), "-device", f"virtserialport,chardev={channel},name={channel}"]
        return out

    # --- while it runs ---

    def __enter__(self):
        try:
            for number, nic in enumerate(self._nics):
                if not nic.carrier:
                    self.set_carrier(number, False)
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_):
        self.kill()

    def running(self):
        return self.process.poll() is None

    def control(self, command, **arguments):
        """One QMP command; returns what it returns."""
        if not hasattr(self, "_greeted"):
            self._greeted = json.loads(self._control.readline())
            self.control("qmp_capabilities")
        json.dump({"execute": command, "arguments": arguments}, self._control)
        self._control.write("\n")
        self._control.flush()
        while line := self._control.readline():
            answer = json.loads(line)
            if "error" in answer:
                raise MachineError(f"{self.name}: {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
        raise MachineError(f"{self.name}: {command}: QEMU has ended")

    def set_carrier(self, nic_number, carrier):
        """Pulls the cable out of a NIC, or puts it in."""
        self.control("set_link", name=f"nic{nic_number}", up=carrier)

    def expect(self, pattern, timeout_s, what=None):
        """Waits for a console line; MachineError when it does not come."""
        found = self.console.wait_for(pattern, timeout_s)
        if found is None:
            how = "before its end" if self.console.ended else f"within {timeout_s} s"
            self.fail(f"no {what or repr(pattern)} {how}")
        return found

    def wait_for_exit(self, timeout_s):
        """Until the machine has switched itself off."""
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.fail(f"still running after {timeout_s} s")
        self.console.finish()
        if self.process.returncode:
            self.fail(f"QEMU ended with status {self.process.returncode}")

    def fail(self, problem):
        said = self.errors_path.read_text(errors="replace").strip()
        raise MachineError(f"{self.name}: {problem}\n" + (f"  QEMU: {said}\n" if said else "")
                           + f"  the last lines of its console ({self.folder / (self.name + '.console.log')}):\n"
                           + self.console.tail())

    def kill(self):
        if self.running():
            self.process.kill()
        self.process.wait(EXIT_TIMEOUT_S)
        self.console.finish()
        for stream in (self._control, *self.channels.values()):
            try:
                stream.close()
            except OSError:  # what was still to be written has no reader
                pass
