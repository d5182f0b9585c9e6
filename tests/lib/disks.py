"""Disk images for machines under test, as files. Needs no privilege: nothing is ever mounted."""

import pathlib
import subprocess
import tempfile

MIB = 1024 * 1024
ESP_SLACK_BYTES = 4 * MIB
ROOT_SLACK_BYTES = 24 * MIB


def make_esp(path, uki, beside=()):
    """An EFI system partition whose only program is `uki`, where firmware looks without being told. `beside`: files
    that the UKI takes besides itself (systemd-stub(7))."""
    path = pathlib.Path(path)
    path.unlink(missing_ok=True)
    kib = (pathlib.Path(uki).stat().st_size + ESP_SLACK_BYTES) // 1024
    _run("mkfs.vfat", "-C", "-F", "32" if kib > 64 * 1024 else "16", "-n", "ESP", path, kib)
    _run("mmd", "-i", path, "::/EFI", "::/EFI/BOOT")
    _run("mcopy", "-i", path, uki, "::/EFI/BOOT/BOOTX64.EFI")
    if beside:
        _run("mmd", "-i", path, "::/EFI/BOOT/BOOTX64.EFI.extra.d")
        _run("mcopy", "-i", path, *beside, "::/EFI/BOOT/BOOTX64.EFI.extra.d")
    return path


def make_ext4(path, tree, label):
    """A file system that holds a cpio.Tree, everything owned by root."""
    with tempfile.TemporaryDirectory(prefix="root-") as folder:
        tree.write_to(folder)
        return make_ext4_of(path, folder, label)


def make_ext4_of(path, folder, label):
    """The same, of a folder."""
    path = pathlib.Path(path)
    path.unlink(missing_ok=True)
    files = [file for file in pathlib.Path(folder).rglob("*") if not file.is_symlink()]
    # A file takes whole blocks, and an inode.
    size = sum((file.stat().st_size + 4095) // 4096 * 4096 + 512 for file in files if file.is_file()) + 4608 * len(files) // 4
    _run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-E", "root_owner=0:0,lazy_itable_init=1",
         "-N", len(files) * 2 + 4096, "-L", label, "-d", folder, path, f"{(size + size // 16 + ROOT_SLACK_BYTES) // 1024}k")
    return path


def _run(*command):
    command = [str(word) for word in command]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
