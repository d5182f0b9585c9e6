"""Disk images for machines under test, as files. Needs no privilege: nothing is ever mounted."""

import pathlib
import subprocess
import tempfile

MIB = 1024 * 1024
ESP_SLACK_BYTES = 4 * MIB
ROOT_SLACK_BYTES = 24 * MIB


def make_esp(path, uki):
    """An EFI system partition whose only program is `uki`, where firmware looks without being told."""
    path = pathlib.Path(path)
    path.unlink(missing_ok=True)
    kib = (pathlib.Path(uki).stat().st_size + ESP_SLACK_BYTES) // 1024
    _run("mkfs.vfat", "-C", "-F", "32" if kib > 64 * 1024 else "16", "-n", "ESP", path, kib)
    _run("mmd", "-i", path, "::/EFI", "::/EFI/BOOT")
    _run("mcopy", "-i", path, uki, "::/EFI/BOOT/BOOTX64.EFI")
    return path


def make_ext4(path, tree, label):
    """A file system that holds a cpio.Tree, everything owned by root."""
    path = pathlib.Path(path)
    path.unlink(missing_ok=True)
    size = sum(len(entry.data) for entry in tree.entries.values()) + ROOT_SLACK_BYTES
    with tempfile.TemporaryDirectory(prefix="root-") as folder:
        tree.write_to(folder)
        _run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-E", "root_owner=0:0,lazy_itable_init=1",
             "-L", label, "-d", folder, path, f"{size // 1024}k")
    return path


def _run(*command):
    command = [str(word) for word in command]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
