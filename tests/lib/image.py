"""A node's image, built as a user builds it: by initramfs/build-image."""

import json
import pathlib
import subprocess

from lib import elf, qemu

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
AGENT = TOP / "build/out/agent/preboot/fortros-preboot"
ROOT_LABEL = "fortros-root"
COMMAND_LINE = "rw console=ttyS0 panic=-1"
# The groups of build-image's report that the project adds to an initramfs that boots without it.
ADDED = ("agent", "settings, CA and invite")


class ImageError(Exception):
    """build-image refused; the text is what it said."""


def build(output, *, settings, ca, invite=None, command_line="", kernel_words=qemu.KERNEL_WORDS, options=()):
    """Writes a UKI, and what it is made of beside it; returns the path. `invite` is the text of one."""
    output = pathlib.Path(output)
    command = [TOP / "initramfs/build-image", "--settings", settings, "--ca", ca, "--agent", AGENT,
               "--output", output, "--root-device", f"LABEL={ROOT_LABEL}",
               "--cmdline", f"{COMMAND_LINE} {kernel_words} {command_line}", "--report", _sizes_path(output), *options]
    if invite is not None:
        file = output.with_suffix(".invite")
        file.write_text(invite)
        command += ["--invite", file]
    done = subprocess.run([str(word) for word in command], check=False, capture_output=True, text=True)
    if done.returncode:
        raise ImageError(f"build-image: status {done.returncode}\n{done.stdout}{done.stderr}")
    return output


def footprint(output):
    """What the agent costs in the image that build() has written there."""
    groups = json.loads(_sizes_path(output).read_text())["groups"]
    return {"bytes": groups["agent"]["bytes"], "static": elf.read(AGENT).is_static,
            "initramfs_bytes_compressed": sum(groups[group]["compressed"] for group in ADDED)}


def _sizes_path(output):
    return pathlib.Path(output).with_suffix(".sizes.json")
