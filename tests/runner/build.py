"""A build that goes on beside the tests that do not need it, from what they leave of the machine."""

import os
import subprocess
import time

from runner.report import FOLDER, TOP, Outcome, tail

# What a kind of tests is built by, with scripts/build; the other kinds are tests of the release.
BUILDS = {"unit": ("--asan", "unit-tests"), "fuzz": ("--fuzz", "fuzz-targets")}


def build(report, kind):
    """Whether it is built now."""
    log = FOLDER / "build" / f"{kind}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    jobs = os.environ.get("FORTROS_JOBS", str(os.cpu_count() or 1))
    with open(log, "w", encoding="utf-8") as output:
        done = subprocess.run(["nice", "-n", "19", TOP / "scripts/build", *BUILDS[kind]], cwd=TOP, check=False,
                              stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                              env=os.environ | {"FORTROS_JOBS": jobs})
    label, seconds = f"build/{kind}", time.monotonic() - began
    if done.returncode:
        report.add(Outcome(label, "failed", seconds,
                           tail(log.read_text(errors="replace")) + f"\n(all of it: {log.relative_to(TOP)})"))
    else:
        report.say("passed", seconds, label)
    return done.returncode == 0
