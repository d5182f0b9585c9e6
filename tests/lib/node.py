"""The node under test: a machine with real firmware, NVRAM and a root disk that outlive its boots.

    node = Node(folder, cable.a)
    with node.boot("first", uki) as boot:
        boot.wait_for_real_root()
        print(boot.stages(), boot.run("ip -j addr").stdout)
        boot.power_off()
"""

import json
import pathlib

from lib import commands, cpio, disks, image, pcap, preboot_console, qemu, sysroot
from lib.commands import Commands
from lib.uki import sections as uki_parts

TESTS = pathlib.Path(__file__).resolve().parent.parent
OUT = TESTS.parent / "build/out/agent"
MAC = "52:54:00:f0:00:02"
MEMORY_MIB = 256
BOOT_TIMEOUT_S = 180  # firmware, kernel and the whole of preboot, on a machine that is busy
EXIT_TIMEOUT_S = 60


def real_root():
    """What is on the root disk: the maintainer, tools to look with, and an init that serves the test."""
    tree = cpio.Tree()
    for folder in ("/dev", "/proc", "/sys", "/run", "/tmp", "/root", "/var/log", "/mnt"):
        tree.folder(folder)
    sysroot.add_busybox(tree)
    tree.file("/sbin/init", TESTS / "root/init", 0o755)
    tree.file("/bin/serve-commands", commands.SERVER, 0o755)
    tree.file("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    tree.file("/etc/group", "root:x:0:\nnogroup:x:65534:\n")
    for program in ("wg", "ip", "nft"):
        sysroot.add_program(tree, program)
    sysroot.add_program(tree, OUT / "maintainer/fortros-maintainer")
    return tree


class Node:
    def __init__(self, folder, plug=None, root=None, root_disk=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.plug = plug
        self.firmware = qemu.Firmware.fresh(self.folder / "nvram.fd")
        self.root_disk = root_disk or disks.make_ext4(self.folder / "root.ext4", root or real_root(), image.ROOT_LABEL)

    def boot(self, name, uki, *, beside=(), **options):
        """Power on, by the firmware. `beside`: files beside the UKI; `options` are those of NodeBoot."""
        esp = disks.make_esp(self.folder / "esp.img", uki, beside)
        return NodeBoot(self, name, {"firmware": self.firmware, "disks": [esp, self.root_disk]}, **options)

    def boot_without_firmware(self, name, uki, files=None, command_line="", **options):
        """The UKI's kernel and initrd on a machine without UEFI. `files` replace those of the initrd."""
        parts = uki_parts(uki)
        initrd = self.folder / f"{name}.initrd"
        initrd.write_bytes(with_files(parts[".initrd"], files or {}))
        kernel = self.folder / "vmlinuz"
        kernel.write_bytes(parts[".linux"])
        words = f"{parts['.cmdline'].decode().strip(chr(0))} {command_line}"
        return NodeBoot(self, name, {"kernel": qemu.Kernel(kernel, initrd, words), "disks": [self.root_disk]},
                        **options)


def with_files(initrd, files):
    """An initrd with more files: the kernel unpacks one archive after the other, the last file wins."""
    tree = cpio.Tree()
    for path, content in files.items():
        if content is None:
            tree.folder(path)
        else:
            tree.file(path, content)
    return initrd + bytes(-len(initrd) % 4) + tree.newc()


class NodeBoot:
    """One boot, from power-on until the machine switches itself off or the test leaves it. `clock`: the
    moment, in UTC, that the hardware clock shows at power-on; without one it is right."""

    def __init__(self, node, name, boots_from, *, on_line=None, nics=None, memory_mib=MEMORY_MIB, clock=None, extra=()):
        self.name = name
        self.capture = node.folder / f"{name}.pcap"
        if nics is None:
            nics = [qemu.Nic(node.plug, MAC, self.capture)] if node.plug else []
        self._options = boots_from | {"nics": nics, "channels": [commands.PORT], "memory_mib": memory_mib,
                                      "on_line": on_line,
                                      "extra": [*(["-rtc", f"base={clock:%Y-%m-%dT%H:%M:%S}"] if clock else []), *extra]}
        self._folder = node.folder
        self.machine = None
        self.commands = None

    def __enter__(self):
        self.machine = qemu.Machine(self.name, self._folder, **self._options)
        self.machine.__enter__()
        self.commands = Commands(self.machine)
        return self

    def __exit__(self, *_):
        self.machine.kill()

    def wait_for_real_root(self, timeout_s=BOOT_TIMEOUT_S):
        self.commands.wait_ready(timeout_s)

    def wait_for_verdict(self, timeout_s=BOOT_TIMEOUT_S):
        """How preboot ended, in the words of its last line."""
        self.machine.expect(preboot_console.VERDICT, timeout_s, "verdict of fortros-preboot")
        return self.verdict()

    def run(self, command, **options):
        """A shell command in the real root."""
        return self.commands.run(command, **options)

    def power_off(self):
        self.commands.last_words("sync; mount -o remount,ro /; poweroff -f")
        self.wait_for_exit()

    def wait_for_exit(self, timeout_s=EXIT_TIMEOUT_S):
        self.machine.wait_for_exit(timeout_s)

    def stages(self):
        return preboot_console.stages(self.machine.console.lines)

    def verdict(self):
        return preboot_console.verdict(self.machine.console.lines)

    def peak_rss_kib(self):
        return preboot_console.peak_rss_kib(self.machine.console.lines)

    def packets(self):
        return pcap.packets(self.capture)

    def hand_off(self):
        return json.loads(self.commands.read("/run/fortros/bootstrap.json"))

    def events(self):
        return [json.loads(line) for line in self.commands.read("/run/fortros/events.jsonl").splitlines()]
