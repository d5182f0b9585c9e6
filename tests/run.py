"""Runs the tests, one line each, and ends with `N passed, N failed, N skipped`.

usage: tests/run.py [style|unit|fuzz|net|boot|all]... [--list] [NAME...]

Runs inside the Debian 13 root; scripts/test builds what is tested and comes here.

  style  tests/style/test_*.py: what the sources must look like
  unit   the doctest programs, built with the sanitizers
  fuzz   tests/fuzz/test_fuzz.py: each fuzz target for a few seconds
  net    tests/net/test_*.py: programs in network namespaces
  boot   tests/boot/test_*.py: whole machines

A Python test is a function test_* of such a file; its docstring says in one line what would break
for a user if it failed. It fails by raising, and `raise Skip("why")` skips it (from run import Skip).
The functions of one file run one after the other in one process, so that they can share a costly
world through the module; each file has process, network and mount namespaces of its own, which end
with it, and nothing that it started outlives it. A module may set TIME_LIMIT_S for its functions.

A NAME selects tests whose `kind/file:function`, or doctest name, contains it.
"""

import dataclasses
import importlib.util
import json
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import time
import traceback
import xml.etree.ElementTree

TOP = pathlib.Path(__file__).resolve().parent.parent
KINDS = ("style", "unit", "fuzz", "net", "boot")
UNIT_PROGRAMS = ("unit", "unit-openssl")
UNIT_BUILD = TOP / "build/out-asan/tests/unit"
TIME_LIMIT_S = 300
UNIT_TIME_LIMIT_S = 600
OUTPUT_LIMIT_LINES = 400  # of a failed test's output; the file named beside it has all


class Skip(Exception):
    """Raised by a test that can't run here; the text says why."""


@dataclasses.dataclass
class Outcome:
    name: str
    status: str  # passed, failed, skipped
    seconds: float = 0.0
    detail: str = ""


class Report:
    """Prints what happened as it happens, and counts."""

    def __init__(self):
        self.outcomes = []

    def add(self, outcome, *, quiet=False):
        self.outcomes.append(outcome)
        if not quiet or outcome.status == "failed":
            word = {"passed": "ok  ", "failed": "FAIL", "skipped": "skip"}[outcome.status]
            why = f"  ({outcome.detail})" if outcome.status == "skipped" and outcome.detail else ""
            print(f"{word} {outcome.seconds:8.2f} s  {outcome.name}{why}", flush=True)
            if outcome.status == "failed" and outcome.detail:
                print("     | " + outcome.detail.rstrip().replace("\n", "\n     | "), flush=True)

    def count(self, status):
        return sum(outcome.status == status for outcome in self.outcomes)

    def finish(self):
        folder = TOP / "build/test"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "results.json").write_text(
            json.dumps([dataclasses.asdict(outcome) for outcome in self.outcomes], indent=1) + "\n")
        failed = [outcome.name for outcome in self.outcomes if outcome.status == "failed"]
        if failed:
            print("failed: " + "; ".join(failed))
        if not self.outcomes:
            print("no test has this name")
        print(f"{self.count('passed')} passed, {len(failed)} failed, {self.count('skipped')} skipped", flush=True)
        return 1 if failed or not self.count("passed") else 0


def wanted(name, names):
    return not names or any(part.lower() in name.lower() for part in names)


def tail(text):
    lines = text.splitlines()
    if len(lines) > OUTPUT_LIMIT_LINES:
        lines = [f"... {len(lines) - OUTPUT_LIMIT_LINES} lines before", *lines[-OUTPUT_LIMIT_LINES:]]
    return "\n".join(lines)


# --- unit: the doctest programs -------------------------------------------------------------------

def unit_failure(case):
    """What doctest's XML says about a failed case, as a compiler would say it."""
    lines = []
    for node in case.iter():
        place = f"{(node.get('filename') or '').removeprefix('../../')}:{node.get('line')}"
        text = lambda tag: " ".join((node.findtext(tag) or "").split())
        if node.tag == "Expression" and node.get("success") == "false":
            lines.append(f"{place}: {node.get('type')}({text('Original')}) is {text('Expanded')}")
            lines += [f"    {' '.join((info.text or '').split())}" for info in node.iter("Info")]
        elif node.tag == "Message":
            lines.append(f"{place}: {text('Text')}")
        elif node.tag == "Exception":
            lines.append(" ".join((node.text or "").split()))
    return "\n".join(lines) or "failed"


def run_unit_program(report, program, names):
    path = UNIT_BUILD / program
    label = f"unit/{program}"
    if not path.exists():
        report.add(Outcome(label, "failed", 0.0, f"{path} has not been built"))
        return
    folder = TOP / "build/test/unit"
    folder.mkdir(parents=True, exist_ok=True)
    xml_path = folder / f"{program}.xml"
    xml_path.unlink(missing_ok=True)
    # Commas and backslashes mean something in doctest's filters.
    patterns = ",".join("*" + re.sub(r"[\\,]", "?", name) + "*" for name in names)
    filters = [f"-tc={patterns}"] if names else []
    environment = os.environ | {
        "ASAN_OPTIONS": "abort_on_error=0:detect_stack_use_after_return=1:strict_string_checks=1",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    }
    began = time.monotonic()
    output, problem = "", ""
    process = subprocess.Popen([path, "--reporters=xml", f"--out={xml_path}", *filters], cwd=TOP, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                               errors="replace", env=environment, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=UNIT_TIME_LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        problem = f"did not end within {UNIT_TIME_LIMIT_S} s"
    seconds = time.monotonic() - began

    counts = {"passed": 0, "failed": 0, "skipped": 0}
    try:
        cases = list(xml.etree.ElementTree.parse(xml_path).iter("TestCase"))
    except (OSError, xml.etree.ElementTree.ParseError):
        cases = []
        problem = problem or "ended before it could report"
    for case in cases:
        name = case.get("name")
        result = case.find("OverallResultsAsserts")
        if case.get("skipped") == "true":
            if not wanted(name, names):
                continue
            outcome = Outcome(f"{label}: {name}", "skipped")
        elif result is not None and result.get("test_case_success") == "true":
            outcome = Outcome(f"{label}: {name}", "passed")
        else:
            outcome = Outcome(f"{label}: {name}", "failed", 0.0, unit_failure(case) + "\n" + tail(output))
        counts[outcome.status] += 1
        report.add(outcome, quiet=True)
    if process.returncode and not counts["failed"]:
        problem = problem or f"ended with status {process.returncode}"
    if problem:
        report.add(Outcome(label, "failed", seconds, problem + "\n" + tail(output)))
    elif sum(counts.values()):
        print(f"{'FAIL' if counts['failed'] else 'ok  '} {seconds:8.2f} s  {label}: "
              + ", ".join(f"{n} {word}" for word, n in counts.items() if n), flush=True)


# --- style, net, boot: Python files ---------------------------------------------------------------

def load(path):
    sys.path[:0] = [str(TOP / "tests"), str(path.parent)]
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def child(path, functions, report_fd):
    """In a process of its own: runs `functions` of `path`, or lists all for none.

    Tells the parent `begin NAME LIMIT`, then `end NAME STATUS WHY`, each a JSON line. While a test
    runs, its standard output and error go to a file of its own.
    """
    pipe = os.fdopen(report_fd, "w", buffering=1)
    os.set_inheritable(report_fd, False)
    tell = lambda *words: print(json.dumps(words), file=pipe, flush=True)
    kind = path.parent.name
    module = load(path)
    found = [name for name, value in vars(module).items()
             if name.startswith("test_") and callable(value) and value.__module__ == module.__name__]
    if not functions:
        tell("list", found)
        return
    for name in functions:
        function = getattr(module, name)
        log = log_path(kind, path, name)
        tell("begin", name, getattr(function, "time_limit_s", getattr(module, "TIME_LIMIT_S", TIME_LIMIT_S)))
        fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        os.close(fd)
        status, why = "passed", ""
        try:
            function()
        except Skip as skip:
            status, why = "skipped", str(skip)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a test may also call sys.exit
            status = "failed"
            traceback.print_exception(type(error), error, error.__traceback__.tb_next)  # without this frame
        sys.stdout.flush()
        sys.stderr.flush()
        tell("end", name, status, why)


def log_path(kind, path, name):
    folder = TOP / "build/test" / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{path.stem}.{name}.log"


class Child:
    """The process that runs a file's tests, in namespaces that end with it."""

    def __init__(self, path, functions):
        read_fd, write_fd = os.pipe()
        os.set_inheritable(write_fd, True)
        command = [sys.executable, "-u", str(TOP / "tests/run.py"), "--child", str(write_fd), str(path), *functions]
        if path.parent.name != "style":
            command = ["unshare", "--fork", "--kill-child", "--pid", "--mount-proc", "--net", "--uts", "--ipc",
                       "setpriv", "--bounding-set", "-sys_time",  # no test may set this machine's clock
                       "sh", "-c", 'ip link set lo up && mount -t sysfs sysfs /sys && "$@"; exit $?', "sh", *command]
        self.log = log_path(path.parent.name, path, "import")
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, cwd=TOP, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, pass_fds=[write_fd], start_new_session=True)
        os.close(write_fd)
        self.read_fd = read_fd
        self.buffer = b""

    def hear(self, deadline):
        """The next line from the child; None at its end; raises TimeoutError at the deadline."""
        while b"\n" not in self.buffer:
            ready, _, _ = select.select([self.read_fd], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            data = os.read(self.read_fd, 65536)
            if not data:
                return None
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def stop(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.read_fd)


def list_functions(path):
    run = Child(path, [])
    try:
        heard = run.hear(time.monotonic() + 60)
    except TimeoutError:
        heard = None
    finally:
        run.stop()
    if heard is None:
        raise ImportError(run.log.read_text(errors="replace"))
    return heard[1]


def run_python_file(report, kind, path, names):
    label = lambda name: f"{kind}/{path.stem}:{name}"
    try:
        waiting = [name for name in list_functions(path) if wanted(label(name), names)]
    except ImportError as error:
        report.add(Outcome(f"{kind}/{path.stem}", "failed", 0.0, "can't be loaded\n" + tail(str(error))))
        return
    while waiting:
        # Again after a test that had to be killed: the rest gets a new process.
        run = Child(path, waiting)
        running, began, limit = waiting[0], time.monotonic(), 60.0
        try:
            while waiting:
                heard = run.hear(began + limit)
                if heard is None:
                    problem = "the test's process ended"
                elif heard[0] == "begin":
                    running, began, limit = heard[1], time.monotonic(), float(heard[2])
                    if sys.stdout.isatty():
                        print(f"...              {label(running)}", end="\r", flush=True)
                    continue
                else:
                    _, _, status, problem = heard
                finish_python_test(report, kind, path, running, began,
                                   "failed" if heard is None else status, problem)
                waiting.remove(running)
                if heard is None:
                    break
        except TimeoutError:
            finish_python_test(report, kind, path, running, began, "failed", f"did not end within {limit:.0f} s")
            waiting.remove(running)
        finally:
            run.stop()


def finish_python_test(report, kind, path, name, began, status, problem):
    detail = problem
    if status == "failed":
        log = log_path(kind, path, name)
        text = log.read_text(errors="replace") if log.exists() else ""
        detail = "\n".join(filter(None, [docstring(path, name), problem, tail(text),
                                         f"(all of it: {log.relative_to(TOP)})"]))
    report.add(Outcome(f"{kind}/{path.stem}:{name}", status, time.monotonic() - began, detail))


def docstring(path, name):
    found = re.search(rf'^def {name}\(.*?\).*?:\n\s+"""(.*?)"""', path.read_text(encoding="utf-8"), re.M | re.S)
    return " ".join(found.group(1).split()) if found else ""


# --------------------------------------------------------------------------------------------------

def main(arguments):
    if "--help" in arguments or "-h" in arguments:
        print(__doc__)
        return 0
    if arguments[:1] == ["--child"]:
        child(pathlib.Path(arguments[2]), arguments[3:], int(arguments[1]))
        return 0
    listing = "--list" in arguments
    arguments = [argument for argument in arguments if argument != "--list"]
    kinds = []
    while arguments and arguments[0] in (*KINDS, "all"):
        kinds.append(arguments.pop(0))
    if not kinds or "all" in kinds:
        kinds = list(KINDS)
    report = Report()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for kind in kinds:
        for path in sorted((TOP / "tests" / kind).glob("test_*.py")):
            if listing:
                print("\n".join(f"{kind}/{path.stem}:{name}" for name in list_functions(path)))
            else:
                run_python_file(report, kind, path, arguments)
        if kind == "unit":
            for program in UNIT_PROGRAMS:
                if listing and (UNIT_BUILD / program).exists():
                    subprocess.run([UNIT_BUILD / program, "-ltc"], check=False)
                elif not listing:
                    run_unit_program(report, program, arguments)
    return 0 if listing else report.finish()


if __name__ == "__main__":
    # By its module name, so that a test's `from run import Skip` is the same class.
    sys.path.insert(0, str(TOP / "tests"))
    import run

    sys.exit(run.main(sys.argv[1:]))
