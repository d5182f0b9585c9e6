"""The agent in images that Debian's own builders make: dracut, and initramfs-tools. No machine boots here; the
images of tests/boot do. Each is made in a Debian 13 root of the packages that are installed here.
"""

import pathlib
import stat
import subprocess
import tempfile

from lib.debian_root import DebianRoot
from lib.embedded import install_agent
from lib.once import once
from lib.org import Org

TAKES_S = 90
TIME_LIMIT_S = 900
SETTINGS = "[Organisation]\nGatewayName=gateway.fleet.example\n"
FILES = ("usr/bin/fortros-preboot", "etc/fortros/preboot.conf", "etc/fortros/org-ca.pem", "etc/fortros/invite")
MODULES = ("wireguard", "nf_tables", "virtio_net", "virtio_blk", "udp_tunnel")


class Builder:
    def __init__(self, tool, packages):
        self.tool = tool
        self.root = DebianRoot(tempfile.mkdtemp(prefix=f"{tool}-"), ["systemd", "udev", *packages])
        self.release = self.root.add_kernel()
        self.org = Org.make(pathlib.Path(tempfile.mkdtemp()) / "org", "gateway.fleet.example")
        install_agent(self.root)
        self.sound()

    def sound(self):
        self.root.write("/etc/fortros/preboot.conf", SETTINGS)
        self.root.put("/etc/fortros/org-ca.pem", self.org.ca, 0o644)
        self.root.write("/etc/fortros/invite", "an-invite-that-nobody-gave\n", 0o600)

    def build(self, *options, check=True):
        if self.tool == "dracut":
            return self.root.run("dracut", "--force", "--no-hostonly", *options, "--kver", self.release, "/boot/image",
                                 check=check)
        return self.root.run("mkinitramfs", "-o", "/boot/image", self.release, check=check)

    def image(self):
        return self.root.path("/boot/image")

    def unpack(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="unpacked-"))
        done = subprocess.run(["unmkinitramfs", self.image(), folder], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return folder / "main" if (folder / "main").exists() else folder


@once
def dracut():
    return Builder("dracut", ["dracut-core"])


@once
def initramfs_tools():
    return Builder("initramfs-tools", ["initramfs-tools-core", "klibc-utils"])


def expect_whole(folder):
    for path in FILES:
        assert (folder / path).exists(), path
    assert stat.S_IMODE((folder / "etc/fortros/invite").stat().st_mode) == 0o600
    names = {path.name.split(".ko")[0].replace("-", "_") for path in folder.rglob("*.ko*")}
    assert set(MODULES) <= names, set(MODULES) - names
    settings = (folder / "etc/fortros/preboot.conf").read_text()
    assert settings.startswith("[Clock]\nBuildTime=20") and settings.endswith(SETTINGS), settings


@once
def of_dracut():
    dracut().build()
    return dracut().unpack()


def test_dracut_takes_everything_in():
    """A node boots an image without its agent, and comes up with no overlay."""
    folder = of_dracut()
    expect_whole(folder)
    # Its kmod opens what modules are compressed by only when it meets one; that of initramfs-tools leaves it to the
    # kernel, as tests/boot/test_initramfs_tools.py sees.
    assert not list(folder.rglob("*.ko.xz")) or list(folder.rglob("liblzma.so*")), "no module can be loaded"
    unit = folder / "usr/lib/systemd/system/initrd-root-fs.target.requires/fortros-preboot.service"
    assert unit.is_symlink() and (unit.parent / unit.readlink()).exists()
    assert (folder / "etc/modules-load.d/fortros.conf").read_text().split() == ["efivarfs", "wireguard", "nf_tables"]
    assert stat.S_IMODE(dracut().image().stat().st_mode) == 0o600, "everybody can read the invite"


def test_dracut_leaves_the_network_to_the_agent():
    """Two clients quarrel about one address."""
    assert not list(of_dracut().rglob("*networkd*.service")) and not list(of_dracut().rglob("dhclient"))


def test_dracut_does_not_build_what_must_fail():
    """A machine is stranded by a typing error."""
    try:
        dracut().root.write("/etc/fortros/preboot.conf", SETTINGS + "[Discovery]\nSorces=cached\n")
        dracut().image().unlink(missing_ok=True)
        said = dracut().build(check=False)
        assert "Sorces" in said and not dracut().image().exists(), said[-2000:]
    finally:
        dracut().sound()


def test_initramfs_tools_takes_everything_in():
    """A node boots an image without its agent, and comes up with no overlay."""
    initramfs_tools().build()
    folder = initramfs_tools().unpack()
    expect_whole(folder)
    assert (folder / "scripts/init-premount/fortros").stat().st_mode & 0o111
    order = (folder / "scripts/init-premount/ORDER").read_text()
    assert "/scripts/init-premount/fortros" in order
    assert stat.S_IMODE(initramfs_tools().image().stat().st_mode) == 0o600, "everybody can read the invite"


def test_initramfs_tools_does_not_build_what_must_fail():
    """A machine is stranded by a typing error."""
    try:
        initramfs_tools().root.write("/etc/fortros/preboot.conf", SETTINGS + "[Discovery]\nSorces=cached\n")
        said = initramfs_tools().build(check=False)
        # update-initramfs keeps the image that was there when this says so.
        assert "Sorces" in said and "hooks/fortros failed with return 1" in said, said[-2000:]
    finally:
        initramfs_tools().sound()
