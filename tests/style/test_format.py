"""Formatting and shell scripts, as scripts/check wants them."""

import pathlib
import re
import shutil
import subprocess

from run import Skip

TOP = pathlib.Path(__file__).resolve().parent.parent.parent


def files():
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=TOP, check=True, capture_output=True, text=True).stdout.split("\0")
    return sorted({name for name in names if name and (TOP / name).is_file()})


def shell_scripts():
    found = []
    for name in files():
        with open(TOP / name, "rb") as file:
            first = file.readline(64)
        if name.endswith(".sh") or first.startswith((b"#!/bin/sh", b"#!/bin/bash", b"#!/usr/bin/env bash")):
            found.append(name)
    return found


def need(program):
    if shutil.which(program) is None:
        raise Skip(f"{program} is not there")
    return program


def run(command):
    done = subprocess.run(command, cwd=TOP, check=False, capture_output=True, text=True)
    assert done.returncode == 0, "\n" + done.stdout + done.stderr


def said_of(name, said):
    """The lines of a file that clang-format would change."""
    return sorted(set(re.findall(rf"^{re.escape(name)}:(\d+):", said, re.M)), key=int)


def test_clang_format():
    """Reviews would be about white space. `scripts/check --fix` formats."""
    sources = [name for name in files()
               if name.endswith((".h", ".cc")) and name.startswith(("agent/", "tests/"))]
    if not sources:
        raise Skip("no C++ yet")
    command = [need("clang-format-19"), "--dry-run", "--style=file", *sources]
    said = subprocess.run(command, cwd=TOP, check=True, capture_output=True, text=True).stderr
    wrong = [f"{name}: line {', '.join(said_of(name, said))}" for name in sources if said_of(name, said)]
    assert not wrong, "scripts/check --fix formats these:\n" + "\n".join(wrong)


def test_shellcheck():
    """A script would break on the first path with a space, or go on after an error."""
    scripts = shell_scripts()
    assert scripts
    run([need("shellcheck"), *scripts])
