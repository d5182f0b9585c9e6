"""Every command in the README and the pages that it leads to is run, as it is written: here, or by a test that is
named here. What stands for the reader's own (a partition, an address, another machine) is filled in.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from lib.debian_root import DebianRoot
from lib.gateway import OUT, Client
from lib.once import once
from lib.org import Org

TAKES_S = 120
TIME_LIMIT_S = 900
TOP = pathlib.Path(__file__).resolve().parents[2]
PAGES = ("README.md", "initramfs/README.md", "certs/README.md", "agent/mesh/README.md")
PARTUUID = "PARTUUID=01234567-89ab-cdef-0123-456789abcdef"
GATEWAY_PORT = 443

# What is not run here: the command's beginning, and the file whose words say that it is run there.
ELSEWHERE = {
    "scripts/run": ("scripts/run", "tests/boot/main_job.py"),  # which tests/boot/test_main_job.py runs
    "fortros-maintainer status": ("tests/lib/mesh_bed.py", "fortros-maintainer status"),
    "fortros-preboot report": ("tests/net/test_preboot_tells.py", '"report"'),
    "install -D -m 600 invite ESP/": ("tests/boot/test_secure_boot.py", "fortros.invite.cred"),
    # Tokens are not in our Debian root; certs/README.md says where this was seen to work.
    "openssl genpkey -propquery": ("certs/README.md", "pkcs11-provider"),
    "certs/make-org org --gateway-name gateway.example.org --ca-key reference.pem": ("tests/net/test_certs.py", "--ca-key"),
}


def blocks(page):
    """The commands of each fenced block of shell, without comments; a here-document belongs to its command."""
    found = []
    for text in re.findall(r"^ *```sh\n(.*?)^ *```$", (TOP / page).read_text(encoding="utf-8"), re.M | re.S):
        commands, lines = [], iter(text.replace("\\\n", " ").splitlines())
        for line in lines:
            command = re.sub(r"(^|\s)#.*", "", line).strip()
            if heredoc := re.search(r"<<'(\w+)'", command):
                for more in lines:
                    command += "\n" + more
                    if more.strip() == heredoc[1]:
                        break
            if command:
                commands.append(command if "\n" in command else " ".join(command.split()))
        found.append(commands)
    return found


def block(page, begin):
    """The block of which a command begins so."""
    found, = [commands for commands in blocks(page) if any(command.startswith(begin) for command in commands)]
    return found


# What the tests below run, by the beginning of each block.
RUN_HERE = {
    "certs/make-org org --gateway-name gateway.example.org": ("README.md", "certs/README.md"),
    "scripts/build": ("README.md",),
    "fortros-gateway check": ("README.md",),
    "curl": ("README.md",),
    "cp initramfs/default.conf": ("initramfs/README.md",),
    "apt-get install dracut": ("initramfs/README.md",),
    "certs/make-org org2": ("certs/README.md",),
}


def test_every_command_is_run():
    """A reader types what was never tried."""
    problems = []
    for page in PAGES:
        for commands in blocks(page):
            if any(commands[0].startswith(first) and page in pages for first, pages in RUN_HERE.items()):
                continue
            for command in commands:
                if command.startswith("scripts/"):
                    continue  # by test_every_script_that_is_named_is_there
                told = next((where for begin, where in ELSEWHERE.items() if command.startswith(begin)), None)
                if told is None or told[1] not in (TOP / told[0]).read_text(encoding="utf-8"):
                    problems.append(f"{page}: {command}")
    assert not problems, "\n".join(problems)


def test_every_script_that_is_named_is_there():
    """The first thing that somebody tries ends with "No such file"."""
    for page in PAGES:
        for command in (command for commands in blocks(page) for command in commands if command.startswith("scripts/")):
            script, *words = command.split()
            assert os.access(TOP / script, os.X_OK), command
            if script in ("scripts/bench", "scripts/sim") and words:
                listed = subprocess.run([TOP / script, "--help"], capture_output=True, text=True, check=True).stdout
                assert re.search(rf"^\s+{re.escape(words[0])}\b", listed, re.M), f"{command}: {listed}"


# --- the reader's machines ---

class Reader:
    """A folder in which he types, with the project around it, /etc and /var/lib of his own, and no WireGuard."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="reader."))
        for name in ("certs", "initramfs", "scripts"):
            (self.folder / name).symlink_to(TOP / name)
        (self.folder / "build").mkdir()
        (self.folder / "build/out").symlink_to(OUT)
        self.environment = {**os.environ, "PATH": f"{OUT}/agent/gateway:{OUT}/agent/preboot:{os.environ['PATH']}"}

    def run(self, command, check=True):
        print("$", command, flush=True)
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=self.folder, env=self.environment, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        print(done.stdout, done.stderr, flush=True)
        assert not check or done.returncode == 0, f"{command}: status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def run_all(self, commands, fill=()):
        for command in commands:
            for words, own in dict(fill).items():
                command = command.replace(words, own)
            assert "..." not in command, command
            self.run(command)


@once
def machine():
    """This file's processes have a mount namespace of their own."""
    reader = Reader()
    own = reader.folder / "machine"
    shutil.copytree("/etc", own / "etc", symlinks=True)
    (own / "var/lib/dpkg").mkdir(parents=True)
    # The list of packages stays: DebianRoot reads it.
    for place, at in (("/var/lib/dpkg", own / "var/lib/dpkg"), (own / "etc", "/etc"), (own / "var/lib", "/var/lib")):
        subprocess.run(["mount", "--rbind", place, at], check=True)
    return reader


@contextlib.contextmanager
def started(reader, command):
    process = subprocess.Popen(["bash", "-c", f"exec {command}"], cwd=reader.folder, env=reader.environment, text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        for line in process.stderr:
            print(line, end="", flush=True)
            if "event=serving" in line:
                break
        else:
            raise AssertionError(f"{command}: ended")
        yield
    finally:
        process.terminate()
        process.communicate()


class Site:
    """What lib.gateway.Client wants to know."""

    port = GATEWAY_PORT

    def __init__(self, reader):
        self.org = Org(reader.folder / "org")


@once
def set_up():
    reader = machine()
    reader.run_all(block("README.md", "fortros-gateway init"))
    return reader


def test_from_nothing_to_a_gateway_that_serves():
    """Who follows the README line by line has a gateway that does not start."""
    reader = set_up()
    settings = pathlib.Path("/etc/fortros/gateway.conf")
    assert "Endpoints=203.0.113.5:51820" in settings.read_text()
    settings.write_text(settings.read_text().replace("#PrivateKey=", "Manage=no\n#PrivateKey=", 1))  # no WireGuard here
    commands = block("README.md", "fortros-gateway check")
    reader.run(commands[0])
    serve = re.sub(r"\s+", " ", commands[1])
    assert serve == "fortros-gateway serve --config /etc/fortros/gateway.conf", serve
    with started(reader, serve), Client(Site(reader)) as node:
        waiting = reader.run("fortros-gateway invite create --approval yes").strip()
        told = node.tell(f"enroll 1 {waiting}")
        assert told["status"] == 202, told
        address, = [found["overlay_address"] for found in json.loads(reader.run("fortros-gateway node waiting --json"))]
        for command in commands[2:]:
            if "lighthouse set" in command:  # a node that was not thrown out
                assert node.tell(f"enroll 2 {reader.run('fortros-gateway invite create').strip()}")["status"] == 200
                nodes = json.loads(reader.run("fortros-gateway node list --json"))
                address, = [found["overlay_address"] for found in nodes if found["state"] == "member"]
            reader.run(command.replace("fd12:3456:789a:...", address).replace(" FILE", " registry.backup"))
        for command in block("README.md", "curl"):
            reader.run(command)


def test_from_nothing_to_an_image():
    """Who follows the README line by line has no image at its end."""
    reader = set_up()
    (reader.folder / "node.conf").write_text("[Organisation]\nGatewayName=gateway.example.org\n")
    steps = block("README.md", "initramfs/build-image")
    reader.run_all(steps[1:], {"PARTUUID=...": PARTUUID, "--output node.efi": "--level 1 --output node.efi"})
    assert (reader.folder / "node.efi").stat().st_size > 1 << 20
    steps = block("initramfs/README.md", "cp initramfs/default.conf")
    reader.run(steps[0])
    reader.run("sed -i 's/^#*GatewayName=.*/GatewayName=gateway.example.org/' node.conf")  # as its comment says
    reader.run_all(steps[1:], {"PARTUUID=...": PARTUUID, "--output node.efi": "--level 1 --output node2.efi"})
    assert (reader.folder / "node2.efi").stat().st_size > 1 << 20


def test_the_pages_about_certificates():
    """Who follows certs/README.md has a gateway without a certificate, or a rotation that fails half-way."""
    reader = Reader()
    reader.run_all(block("certs/README.md", "certs/gateway-keys"))
    reader.run_all(block("certs/README.md", "certs/make-org org2"))


# --- a node with dracut ---

@once
def node():
    """A Debian 13 root onto which the part `node` was installed as the README says. Another machine's shell is a
    function, and what a chroot has not is a program of ours."""
    root = DebianRoot(tempfile.mkdtemp(prefix="node."), ["systemd", "udev", "dracut-core"])
    release = root.add_kernel()
    install = block("README.md", "scripts/shell meson install")
    assert install[0] == "scripts/build"  # has been done
    reader = Reader()
    reader.run(f"{TOP}/" + install[1].replace("/fortros/build/node", str(reader.folder / "build/node"))
               .replace("-C build/out", f"-C {OUT}"))
    assert "ssh root@node tar -C / " in install[2]
    reader.run(install[2].replace("ssh root@node tar -C / ", f"tar -C {root.folder} "))
    root.write("/etc/dracut.conf.d/chroot.conf", "hostonly=no\n")
    root.write("/usr/local/bin/uname", f'#!/bin/sh\n[ "$*" = -r ] && echo {release} || exec /usr/bin/uname "$@"\n', 0o755)
    root.write("/usr/local/bin/apt-get", "#!/bin/sh\n[ \"$*\" = 'install dracut' ]\n", 0o755)
    return root, release


def test_a_node_with_dracut():
    """Who follows initramfs/README.md line by line has an image without the agent."""
    root, release = node()
    org = Org.make(pathlib.Path(tempfile.mkdtemp()) / "org")
    root.put("/root/ca.pem", org.ca, 0o644)
    root.write("/root/invite", "an-invite-that-nobody-gave\n", 0o644)
    commands = block("initramfs/README.md", "apt-get install dracut")
    said = root.run("bash", "-euxc", "PATH=/usr/local/bin:$PATH; cd /root\n" + "\n".join(commands))
    print(said)
    listed = root.run("lsinitrd", f"/boot/initrd.img-{release}")
    for path in ("usr/bin/fortros-preboot", "etc/fortros/preboot.conf", "etc/fortros/org-ca.pem", "etc/fortros/invite",
                 "fortros-preboot.service"):
        assert path in listed, path
    for unit in ("fortros-maintainer", "fortros-variables"):
        assert root.run("systemctl", "is-enabled", f"{unit}.service").strip() == "enabled", unit
