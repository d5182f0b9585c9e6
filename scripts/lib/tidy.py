"""Runs clang-tidy-19 over what has changed since it was last clean.

usage: scripts/lib/tidy.py BUILD_DIR [PATH_PART...]

A file counts as unchanged when neither it, nor a header of ours that it reaches, nor the rules, nor
its compile command differ; what was clean is remembered in build/tidy.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
# GCC's flags that clang does not know, and a warning that would only repeat GCC's.
EXTRA = ["--extra-arg=-Wno-unknown-warning-option", "--extra-arg=-Wno-unused-command-line-argument"]


def reached(path, seen):
    """The project's own files that `path` includes, itself among them."""
    if path in seen:
        return
    seen.add(path)
    for name in INCLUDE.findall(path.read_text(encoding="utf-8", errors="replace")):
        for base in (TOP / "agent", TOP / "tests", path.parent):
            if (base / name).is_file():
                reached((base / name).resolve(), seen)
                break


def key_of(entry, path):
    files = set()
    reached(path, files)
    digest = hashlib.sha256()
    digest.update((TOP / ".clang-tidy").read_bytes() + entry["command"].encode())
    for file in sorted(files):
        digest.update(f"\0{file}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def check(build, path):
    began = time.monotonic()
    done = subprocess.run(["clang-tidy-19", "--quiet", "-p", str(build), *EXTRA, str(path)],
                          cwd=TOP, check=False, capture_output=True, text=True)
    errors = "\n".join(line for line in done.stderr.splitlines()
                       if not re.search(r"warnings? (generated|treated as)|^Suppressed|^Use -header-filter", line))
    return done.returncode, (done.stdout + errors).strip(), time.monotonic() - began


def main(build, parts):
    cache = TOP / "build/tidy"
    cache.mkdir(parents=True, exist_ok=True)
    waiting, unchanged = {}, 0
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
        if path.suffix != ".cc" or not path.is_relative_to(TOP / "agent"):
            continue
        if parts and not any(part in str(path) for part in parts):
            continue
        key = cache / key_of(entry, path)
        if key.exists():
            unchanged += 1
        else:
            waiting[path] = key
    print(f"clang-tidy: {len(waiting)} files, {unchanged} unchanged since they were clean", flush=True)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {pool.submit(check, build, path): (path, key) for path, key in sorted(waiting.items())}
        for run in concurrent.futures.as_completed(runs):
            path, key = runs[run]
            status, output, seconds = run.result()
            if status == 0:
                key.touch()
            else:
                failed += 1
                print(output)
            print(f"{'ok  ' if status == 0 else 'FAIL'} {seconds:8.2f} s  {path.relative_to(TOP)}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(TOP / sys.argv[1], sys.argv[2:]))
