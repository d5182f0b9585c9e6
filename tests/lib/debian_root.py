"""A real Debian 13 root for a machine's disk: the files of packages that are installed where we run, and of
all that they depend on, as a folder. Nothing is downloaded and no maintainer script runs: what those would have
made (users, /etc/machine-id, /sbin/init, the list of libraries) is made here.

    root = DebianRoot(folder, ["systemd", "udev", "dracut-core"])
    root.write("/etc/hostname", "node\n")
    root.run("dracut", "--kver", release, "/boot/initrd.img")    # inside it
    root.ext4(disk, label="root")
"""

import os
import pathlib
import re
import shutil
import subprocess

from lib import commands, disks, sysroot

BUSYBOX = "/usr/bin/busybox"
# Every Debian has these; what hangs on them comes by itself.
ESSENTIAL = ("base-files", "base-passwd", "bash", "coreutils", "dash", "debianutils", "diffutils", "findutils", "grep", "gzip",
             "hostname", "init-system-helpers", "libc-bin", "mount", "sed", "util-linux", "kmod", "cpio", "zstd")
# Nobody reads them in a test.
LEFT_OUT = re.compile(r"/usr/share/(doc|man|info|locale|lintian|bug|zoneinfo|i18n|perl|bash-completion|zsh)(/|$)"
                      r"|/usr/lib/udev/hwdb\.d/|/usr/(include|lib/python3|lib/x86_64-linux-gnu/perl)(/|$)|\.a$")
ALTERNATIVES = {"awk": "mawk"}


class DebianRoot:
    def __init__(self, folder, packages):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        # dpkg lists what was installed, also by names in /bin that are links to /usr since.
        for name in ("bin", "sbin", "lib", "lib64"):
            (self.folder / f"usr/{name}").mkdir(parents=True, exist_ok=True)
            (self.folder / name).symlink_to(f"usr/{name}")
        for place in ("dev", "proc", "sys", "run", "tmp", "root", "boot", "var/tmp", "var/log", "etc", "mnt"):
            (self.folder / place).mkdir(parents=True, exist_ok=True)
        (self.folder / "tmp").chmod(0o1777)
        self.packages = closure([*ESSENTIAL, *packages])
        for path in files_of(self.packages):
            self._copy(path)
        for path in ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow"):
            if pathlib.Path(path).exists():
                self._copy(path)
        self.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        self.write("/etc/fstab", "")
        self.write("/etc/hostname", "node\n")
        self.link("/usr/sbin/init", "/usr/lib/systemd/systemd")
        for name in ("poweroff", "reboot", "halt"):  # of systemd-sysv, which our root can do without
            self.link(f"/usr/sbin/{name}", "../bin/systemctl")
        for name, program in ALTERNATIVES.items():
            if (self.folder / "usr/bin" / program).exists():
                self.link(f"/usr/bin/{name}", program)
        self.run("ldconfig")  # whose list dracut reads

    def path(self, inside):
        """Where a file of the root is here. Nothing in it leads outside but what is asked for by name."""
        return self.folder / inside.lstrip("/")

    def write(self, path, content, mode=0o644):
        real = self.path(path)
        real.parent.mkdir(parents=True, exist_ok=True)
        real.unlink(missing_ok=True)
        real.write_bytes(content.encode() if isinstance(content, str) else content)
        real.chmod(mode)

    def put(self, path, source, mode):
        self.write(path, pathlib.Path(source).read_bytes(), mode)

    def link(self, path, target):
        real = self.path(path)
        real.parent.mkdir(parents=True, exist_ok=True)
        real.unlink(missing_ok=True)
        real.symlink_to(target)

    def enable(self, unit, target):
        """As `systemctl enable`, by hand."""
        where = next(place for place in ("/etc/systemd/system", "/usr/lib/systemd/system", "/usr/local/lib/systemd/system")
                     if self.path(f"{place}/{unit}").exists())
        self.link(f"/etc/systemd/system/{target}.wants/{unit}", f"{where}/{unit}")

    def add_kernel(self):
        """The newest kernel that is installed here; its release."""
        release = sysroot.kernel_release()
        shutil.copytree(f"/usr/lib/modules/{release}", self.path(f"/usr/lib/modules/{release}"), symlinks=True,
                        dirs_exist_ok=True)
        shutil.copy2(f"/boot/vmlinuz-{release}", self.path(f"/boot/vmlinuz-{release}"))
        config = pathlib.Path(f"/boot/config-{release}")
        if config.exists():
            shutil.copy2(config, self.path(f"/boot/{config.name}"))
        return release

    def add_command_server(self):
        """What lib.commands talks to, as a unit; busybox's applets are its shell's words."""
        self.put(BUSYBOX, BUSYBOX, 0o755)
        self.put("/usr/local/bin/serve-commands", commands.SERVER, 0o755)
        self.write("/etc/systemd/system/serve-commands.service",
                   "[Unit]\nDefaultDependencies=no\nAfter=systemd-udevd.service\n[Service]\n"
                   f"ExecStart={BUSYBOX} sh /usr/local/bin/serve-commands\nRestart=on-failure\nRestartSec=1\n"
                   "Environment=PATH=/usr/sbin:/usr/bin\n")
        self.enable("serve-commands.service", "multi-user.target")

    def run(self, *command, check=True):
        """A program in the root, with /dev, /proc and /sys of ours; what it said."""
        script = ('mount --make-rprivate /; for place in dev proc sys; do mount --rbind /$place "$0/$place"; done; '
                  'mount -t tmpfs tmpfs "$0/run"; exec chroot "$0" "$@"')
        done = subprocess.run(["unshare", "--mount", "sh", "-ec", script, self.folder, *[str(word) for word in command]],
                              check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace",
                              env={"PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C", "HOME": "/root",
                                   **{name: os.environ[name] for name in ("SOURCE_DATE_EPOCH",) if name in os.environ}})
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout[-4000:]}")
        return done.stdout

    def ext4(self, path, label):
        return disks.make_ext4_of(path, self.folder, label)

    def _copy(self, path):
        source, target = pathlib.Path(path), self.path(path)
        if source.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.is_symlink() and not target.exists():
                target.symlink_to(os.readlink(source))
        elif source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        elif source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def closure(packages):
    """The packages, and all that they depend on, as far as it is installed here."""
    table = subprocess.run(["dpkg-query", "-W", "-f", "${Package}\t${Status}\t${Provides}\t${Pre-Depends}, ${Depends}\n"],
                           check=True, capture_output=True, text=True).stdout
    needs, provided = {}, {}
    for line in table.splitlines():
        name, status, provides, depends = line.split("\t")
        if status.endswith(" installed"):
            needs[name] = [re.split(r"[\s:(]", word.strip())[0] for word in re.split(r"[,|]", depends) if word.strip()]
            for virtual in provides.split(","):
                provided.setdefault(re.split(r"[\s:(]", virtual.strip())[0], name)
    missing = [package for package in packages if package not in needs]
    if missing:
        raise FileNotFoundError(f"not installed here: {' '.join(missing)}")
    found, waiting = set(), list(packages)
    while waiting:
        name = waiting.pop()
        name = name if name in needs else provided.get(name)
        if name and name not in found:
            found.add(name)
            waiting += needs[name]
    # Python and Perl come by way of programs that no boot runs.
    return sorted(name for name in found if not re.match(r"(lib)?python3|perl|libperl|linux-image|gcc-|cpp", name))


def files_of(packages):
    listed = subprocess.run(["dpkg", "-L", *packages], check=True, capture_output=True, text=True).stdout
    paths = dict.fromkeys(line for line in listed.splitlines() if line.startswith("/") and line != "/.")
    return [path for path in paths if not LEFT_OUT.search(path)]
