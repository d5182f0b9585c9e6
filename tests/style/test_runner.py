"""How the tests are run: what may begin beside what, and that nothing that fails is lost."""

import contextlib
import io
import pathlib
import tempfile

from runner.pool import Job, Pool, next_job
from runner.python_file import Declarations, PythonFile
from runner.report import Outcome, Report
from runner.unit_program import UnitProgram


def job(name, **options):
    return Job(name, lambda: True, **options)


def name_of(found):
    return found and found.name


def expect(have, want):
    assert have == want, f"{have!r}, not {want!r}"


def test_no_more_runs_than_there_are_slots():
    """On a machine that is too busy every test would fail by its time limit."""
    one, two, small = job("one", slots=2), job("two", slots=2), job("small", slots=1)
    expect(name_of(next_job([one, two], [], 3, set())), "one")
    expect(next_job([two], [one], 3, set()), None)
    expect(name_of(next_job([two, small], [one], 3, set())), "small")
    expect(name_of(next_job([job("large", slots=9)], [], 3, set())), "large")
    expect(next_job([job("large", slots=9)], [small], 3, set()), None)


def test_who_wants_to_be_alone_is_alone():
    """What measures would measure its neighbours."""
    alone, other, left_over = job("alone", alone=True), job("other"), job("left over", slots=0)
    expect(name_of(next_job([alone, other], [], 4, set())), "other")
    expect(next_job([alone], [left_over], 4, set()), None)
    expect(name_of(next_job([alone], [], 4, set())), "alone")
    expect(next_job([left_over], [alone], 4, set()), None)


def test_nothing_begins_before_what_it_needs():
    """Tests would run what the last build has left, or nothing."""
    needing = job("needing", needs="build")
    expect(next_job([needing], [], 4, set()), None)
    expect(name_of(next_job([needing], [], 4, {"build"})), "needing")


def played(*jobs, slots=4):
    """The pool after its end, and the names of what ran, in the order in which it began."""
    pool, ran = Pool(slots), []

    def recorded(one):
        def run():
            ran.append(one.name)
            return one.run()
        return Job(one.name, run, one.slots, one.alone, one.needs)

    for one in jobs:
        pool.add(recorded(one))
    pool.run()
    return pool, ran


def test_every_job_runs_once():
    """A test would be missing, and the last line would not say so."""
    names = [f"job {number}" for number in range(50)]
    _, ran = played(*(job(name, slots=1 + number % 3, alone=number % 9 == 0) for number, name in enumerate(names)))
    expect(sorted(ran), sorted(names))


def test_what_needs_a_failed_build_does_not_run():
    """It would fail a hundred times for one reason."""
    pool, ran = played(Job("build", lambda: False), job("test", needs="build"), job("other"))
    expect(sorted(ran), ["build", "other"])
    expect(pool.unfinished(), ["test"])


def test_a_job_may_add_others():
    """The parts of a program are known when it is built."""
    pool, ran = Pool(slots=1), []
    add = lambda: pool.add_first([Job("part", lambda: ran.append("part"))]) is None
    pool.add(Job("whole", add))
    pool.add(Job("other", lambda: ran.append("other")))
    pool.run()
    expect(ran, ["part", "other"])


def test_declarations_are_read_without_running_the_file():
    """A file would be run to learn whether it may be run."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "test_it.py")
        path.write_text("raise SystemExit\nTAKES_S = 90\nSLOTS = 3\nALONE = True\n")
        expect(Declarations.of(path), Declarations(90, 3, True))
        path.write_text("")
        expect(Declarations.of(path), Declarations(0, None, False))


FILE = """
import os, signal, sys
from run import Skip
def test_passes(): pass
def test_is_skipped(): raise Skip("why not")
def test_fails(): raise AssertionError("how it failed")
def test_exits(): sys.exit(0)
def test_dies(): os.kill(os.getpid(), signal.SIGKILL)
def test_after_the_dead(): pass
"""


def outcomes_of(text, names=()):
    """A file's outcomes, by its tests' names."""
    report = Report()
    report.save = lambda: None  # what is kept is of the run that we are in
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "style", "test_it.py")
        path.parent.mkdir()
        path.write_text(text)
        PythonFile(report, path, list(names)).run()
    return {outcome.name.partition(":")[2]: outcome for outcome in report.outcomes}


def test_a_test_that_fails_skips_or_dies_is_told_and_the_rest_runs():
    """One crash would hide the tests behind it."""
    found = outcomes_of(FILE)
    expect({name: outcome.status for name, outcome in found.items()},
           {"test_passes": "passed", "test_is_skipped": "skipped", "test_fails": "failed", "test_exits": "failed",
            "test_dies": "failed", "test_after_the_dead": "passed"})
    assert "how it failed" in found["test_fails"].detail, found["test_fails"].detail
    assert "process ended" in found["test_dies"].detail, found["test_dies"].detail


def test_a_name_selects():
    """Somebody would run everything to see one test."""
    expect(list(outcomes_of(FILE, ["it:TEST_AFTER"])), ["test_after_the_dead"])


def test_a_file_that_cannot_be_loaded_fails():
    """A slip of the keyboard would take a file's tests away."""
    (outcome,) = outcomes_of("import nothing_of_this_name\n").values()
    expect(outcome.status, "failed")
    assert "nothing_of_this_name" in outcome.detail, outcome.detail


def test_a_test_that_does_not_end_is_ended():
    """A run would hang until somebody looks."""
    found = outcomes_of("TIME_LIMIT_S = 0.2\nimport time\ndef test_hangs(): time.sleep(600)\ndef test_other(): pass\n")
    expect({name: outcome.status for name, outcome in found.items()}, {"test_hangs": "failed", "test_other": "passed"})
    assert "did not end" in found["test_hangs"].detail


FAKE = """#!/usr/bin/python3
# As a doctest program of 89 cases and one that skips itself: one fails, and one ends it.
import sys
options = dict(word.lstrip("-").partition("=")[::2] for word in sys.argv[1:])
cases = [f"case {number}" for number in range(1, 90)]
if "count" in options:
    print("[doctest] unskipped test cases passing the current filters:", len(cases))
    sys.exit()
first, last = int(options["first"]), int(options["last"])
with open(options["out"], "w") as out:
    out.write('<doctest><TestSuite><TestCase name="skips itself" filename="f" line="0" skipped="true"/>')
    for number, name in enumerate(cases, 1):
        ran = first <= number <= last
        out.write(f'<TestCase name="{name}" filename="f" line="{number}"' + (">" if ran else ' skipped="true"/>'))
        if ran:
            if name == DIES: sys.exit(3)
            good = "false" if name == "case 50" else "true"
            out.write(f'<OverallResultsAsserts test_case_success="{good}" duration="0.5"/></TestCase>')
    out.write("</TestSuite></doctest>")
sys.exit(first <= 50 <= last)
"""


def unit_outcomes(dies="nobody"):
    report = Report()
    report.save = lambda: None
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder, "fake")
        program.write_text(FAKE.replace("DIES", repr(dies)))
        program.chmod(0o755)
        for run in UnitProgram(report, "fake", [], build=program.parent).shards():
            run()
    return report


def test_every_case_of_a_unit_program_is_told_once():
    """A case between two parts would be missing, or a failure be lost among those of other parts."""
    report = unit_outcomes()
    names = [outcome.name for outcome in report.outcomes]
    expect(sorted(names), sorted({*(f"unit/fake: case {number}" for number in range(1, 90)), "unit/fake: skips itself"}))
    expect([outcome.name for outcome in report.outcomes if outcome.status == "failed"], ["unit/fake: case 50"])
    expect([outcome.name for outcome in report.outcomes if outcome.status == "skipped"], ["unit/fake: skips itself"])


def test_a_unit_program_that_dies_fails():
    """A crash would take the cases of a part away without a word."""
    failed = [outcome for outcome in unit_outcomes(dies="case 7").outcomes if outcome.status == "failed"]
    expect([outcome.name for outcome in failed], ["unit/fake: case 50", "unit/fake, cases 1 to 40"])
    assert "ended before it could report" in failed[1].detail, failed[1].detail


def last_line(*statuses):
    report, said = Report(), io.StringIO()
    report.save = lambda: None
    with contextlib.redirect_stdout(said):
        for number, status in enumerate(statuses):
            report.add(Outcome(f"test {number}", status))
        status = report.finish()
    return status, said.getvalue().splitlines()[-1]


def test_the_last_line_and_the_status_tell_how_it_went():
    """A run that has failed, or has tested nothing, would be taken for a good one."""
    expect(last_line("passed", "skipped", "passed"), (0, "2 passed, 0 failed, 1 skipped"))
    expect(last_line("passed", "failed"), (1, "1 passed, 1 failed, 0 skipped"))
    expect(last_line("skipped"), (1, "0 passed, 0 failed, 1 skipped"))
    expect(last_line(), (1, "0 passed, 0 failed, 0 skipped"))
