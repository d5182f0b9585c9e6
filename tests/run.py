"""Runs the tests, one line each, and ends with `N passed, N failed, N skipped`.

usage: tests/run.py [style|unit|fuzz|net|boot|all]... [--list] [--build] [NAME...]

Runs inside the Debian 13 root; scripts/test builds what is tested and comes here. With --build the unit
and the fuzz programs are built here, beside the tests of what is built already.

  style  tests/style/test_*.py: what the sources must look like
  unit   the doctest programs, built with the sanitizers
  fuzz   tests/fuzz/test_fuzz.py: each fuzz target for a few seconds
  net    tests/net/test_*.py: programs in network namespaces
  boot   tests/boot/test_*.py: whole machines

A Python test is a function test_* of such a file; its docstring says in one line what would break
for a user if it failed. It fails by raising, and `raise Skip("why")` skips it (from run import Skip).
The functions of one file run one after the other in one process, so that they can share a costly
world through the module; each file has process, network and mount namespaces of its own, with a /run
and a /tmp of its own, which end with it, and nothing that it started outlives it.

Files run beside each other, and the unit programs in parts: a line is printed when its test ends. A machine
has SLOTS_OF_A_PROCESSOR slots for each of its processors; a file fills one, and a file of the kind boot two.
At its top a file may say otherwise:

  TAKES_S = 90        that all of it takes about so long: the longest files begin first, and end with the others
  SLOTS = 3           that it keeps more of the machine busy
  ALONE = True        that it measures what others would disturb: it runs when they have ended
  TIME_LIMIT_S = 900  how long one of its tests may take, on a machine of its own

FORTROS_TEST_SLOTS=1 runs one after the other. A NAME selects tests whose `kind/file:function`, or doctest
name, contains it.
"""

import json
import os
import pathlib
import signal
import sys
import traceback

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "tests"))

from runner import build, python_file
from runner.pool import Job, Pool
from runner.python_file import Declarations, PythonFile, Skip  # Skip for the tests
from runner.report import Outcome, Report
from runner.unit_program import PROGRAMS, UnitProgram

KINDS = ("style", "unit", "fuzz", "net", "boot")
SLOTS_OF_A_PROCESSOR = 2
SLOTS = {"boot": 2}  # of a kind's files that say nothing; 1 for the others
UNIT_SLOTS = 2  # never waits for anything


def slots():
    return int(os.environ.get("FORTROS_TEST_SLOTS", SLOTS_OF_A_PROCESSOR * (os.cpu_count() or 1)))


def files_of(kind):
    return sorted((TOP / "tests" / kind).glob("test_*.py"))


def job(report, name, run, **options):
    """What goes wrong in the runner itself is a failure like any other."""
    def guarded():
        try:
            return run()
        except Exception:
            report.add(Outcome(name, "failed", 0.0, traceback.format_exc()))
            return False
    return Job(name, guarded, **options)


def file_jobs(report, kind, names, needs):
    for path in files_of(kind):
        said = Declarations.of(path)
        yield said.takes_s, job(report, f"{kind}/{path.stem}", PythonFile(report, path, names).run, needs=needs,
                                slots=SLOTS.get(kind, 1) if said.slots is None else said.slots, alone=said.alone)


def run_unit_program(report, pool, name, names):
    """Adds the parts that it is run in: how many there are can be asked when it is built."""
    program = UnitProgram(report, name, names)
    parts = [job(report, f"unit/{name} {part + 1}", run, slots=UNIT_SLOTS) for part, run in enumerate(program.shards())]
    pool.add_first(parts)
    return bool(parts)


def make_pool(report, kinds, names, *, with_builds):
    """Builds first, then what takes long."""
    pool, files = Pool(slots()), []
    for kind in kinds:
        needs = ""
        if with_builds and kind in build.BUILDS:
            needs = f"build/{kind}"
            pool.add(job(report, needs, lambda kind=kind: build.build(report, kind), slots=0))
        files += file_jobs(report, kind, names, needs)
        if kind == "unit":
            for name in PROGRAMS:
                pool.add(job(report, f"unit/{name}", lambda name=name: run_unit_program(report, pool, name, names),
                             slots=0, needs=needs))
    for _, file in sorted(files, key=lambda file: -file[0]):
        pool.add(file)
    return pool


def run_tests(kinds, names, *, with_builds):
    """The exit status. Whatever ends us, what is known is told."""
    report = Report()
    pool = make_pool(report, kinds, names, with_builds=with_builds)
    try:
        pool.run()
    except (KeyboardInterrupt, SystemExit):
        report.add(Outcome("all of it", "failed", 0.0, f"ended from outside before {', '.join(pool.unfinished())}"))
        report.finish()
        raise
    # What could not be built has been told.
    return report.finish()


def list_tests(kinds):
    for kind in kinds:
        for path in files_of(kind):
            print("\n".join(f"{kind}/{path.stem}:{name}" for name in python_file.functions_of(path)))
        if kind == "unit":
            for name in PROGRAMS:
                UnitProgram(Report(), name, []).list()
    return 0


def main(arguments):
    if "--help" in arguments or "-h" in arguments:
        print(__doc__)
        return 0
    if arguments[:1] == ["--child"]:
        python_file.child(pathlib.Path(arguments[2]), int(arguments[1]), *json.loads(arguments[3]))
        return 0
    options = {argument for argument in arguments if argument in ("--list", "--build")}
    names = [argument for argument in arguments if argument not in options]
    kinds = []
    while names and names[0] in (*KINDS, "all"):
        kinds.append(names.pop(0))
    if not kinds or "all" in kinds:
        kinds = list(KINDS)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if "--list" in options:
        return list_tests(kinds)
    return run_tests(kinds, names, with_builds="--build" in options)


if __name__ == "__main__":
    # By its module name, so that a test's `from run import Skip` is of one module.
    import run as this

    sys.exit(this.main(sys.argv[1:]))
