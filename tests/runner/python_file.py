"""The tests of one Python file, in a process and namespaces of its own that end with it."""

import ast
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

from runner.report import FOLDER, TOP, Outcome, tail, wanted

TIME_LIMIT_S = 300
IMPORT_TIME_LIMIT_S = 60
# A limit is what a test may take on a machine of its own; beside others it may take longer.
LOAD_FACTOR = 2
# Ends with the thread that has started it.
WITH_US = ["setpriv", "--pdeathsig", "KILL"]
NAMESPACES = ["unshare", "--fork", "--kill-child", "--pid", "--mount-proc", "--net", "--uts", "--ipc",
              "setpriv", "--bounding-set", "-sys_time",  # no test may set this machine's clock
              "sh", "-c", 'ip link set lo up && mount -t sysfs sysfs /sys && mount -t tmpfs -o mode=0755 tmpfs /run && '
                          'mount -t tmpfs tmpfs /tmp && "$@"; exit $?', "sh"]


class Skip(Exception):
    """Raised by a test that can't run here; the text says why."""


@dataclasses.dataclass(frozen=True)
class Declarations:
    """What a file says of itself at its top, without being run."""
    takes_s: float = 0
    slots: int | None = None
    alone: bool = False

    @staticmethod
    def of(path):
        found = {}
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                found |= {target.id: node.value.value for target in node.targets if isinstance(target, ast.Name)}
        return Declarations(found.get("TAKES_S", 0), found.get("SLOTS"), bool(found.get("ALONE")))


# --- in the child ---------------------------------------------------------------------------------

def load(path):
    sys.path[:0] = [str(TOP / "tests"), str(path.parent)]
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def child(path, report_fd, names, done):
    """Runs the tests of `path` that the names select, but for those that are `done`; None: only lists them.

    Tells the parent `list NAMES`, then of each test `begin NAME LIMIT` and `end NAME STATUS WHY PROCESSOR_SECONDS`,
    each a JSON line. While a test runs, its standard output and error go to a file of its own.
    """
    pipe = os.fdopen(report_fd, "w", buffering=1)
    os.set_inheritable(report_fd, False)
    tell = lambda *words: print(json.dumps(words), file=pipe, flush=True)
    kind = path.parent.name
    module = load(path)
    found = [name for name, value in vars(module).items()
             if name.startswith("test_") and callable(value) and value.__module__ == module.__name__]
    tell("list", found)
    if done is None:
        return
    for name in found:
        if name in done or not wanted(f"{kind}/{path.stem}:{name}", names):
            continue
        function = getattr(module, name)
        log = log_path(kind, path, name)
        tell("begin", name, getattr(module, "TIME_LIMIT_S", TIME_LIMIT_S))
        spent = processor_seconds()
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
        tell("end", name, status, why, processor_seconds() - spent)


def processor_seconds():
    """What this process and all that it has started have used; those too that run on, if we have a PID namespace."""
    if os.getppid() != 1:
        return sum(os.times()[:4])
    ticks = 0
    for file in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            # Its own and its dead children's time, user's and system's: see proc_pid_stat(5).
            ticks += sum(map(int, file.read_text().rpartition(")")[2].split()[11:15]))
        except (OSError, ValueError):  # it has ended meanwhile
            pass
    return ticks / os.sysconf("SC_CLK_TCK")


def log_path(kind, path, name):
    folder = FOLDER / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{path.stem}.{name}.log"


# --- in the parent --------------------------------------------------------------------------------

class Child:
    """The process that runs a file's tests, in namespaces that end with it."""

    def __init__(self, path, names, done):
        read_fd, write_fd = os.pipe()
        os.set_inheritable(write_fd, True)
        command = [sys.executable, "-u", str(TOP / "tests/run.py"), "--child", str(write_fd), str(path),
                   json.dumps([names, done])]
        command = WITH_US + (NAMESPACES if path.parent.name != "style" else []) + command
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


def functions_of(path):
    run = Child(path, [], None)
    try:
        return expect_list(run)
    finally:
        run.stop()


def expect_list(run):
    try:
        heard = run.hear(time.monotonic() + LOAD_FACTOR * IMPORT_TIME_LIMIT_S)
    except TimeoutError:
        heard = None
    if heard is None:
        raise ImportError(run.log.read_text(errors="replace"))
    return heard[1]


class PythonFile:
    def __init__(self, report, path, names):
        self._report = report
        self._path = path
        self._kind = path.parent.name
        self._names = names
        self._done = []

    def run(self):
        """All of its tests, in a new process again after one that had to be killed. Nothing is raised."""
        while self._run_some():
            pass
        return True

    def _run_some(self):
        """Whether another process is needed for the rest."""
        child = Child(self._path, self._names, self._done)
        try:
            waiting = [name for name in expect_list(child)
                       if name not in self._done and wanted(self._label(name), self._names)]
            while waiting:
                if self._run_one(child, waiting[0]) == "killed":
                    return len(waiting) > 1
                waiting.pop(0)
        except ImportError as error:
            self._report.add(Outcome(f"{self._kind}/{self._path.stem}", "failed", 0.0,
                                     "can't be loaded\n" + tail(str(error))))
        finally:
            child.stop()
        return False

    def _run_one(self, child, name):
        """Hears of one test from its beginning to its end: "ended", or "killed" with its process."""
        began, limit, told = time.monotonic(), LOAD_FACTOR * IMPORT_TIME_LIMIT_S, ["end", name, "failed", "", 0.0]
        try:
            heard = child.hear(began + limit)
            if heard is not None:
                began, limit = time.monotonic(), LOAD_FACTOR * float(heard[2])
                heard = child.hear(began + limit)
            told = heard or ["end", name, "failed", "the test's process ended", 0.0]
        except TimeoutError:
            heard = None
            told[3] = f"did not end within {limit:.0f} s"
        self._done.append(name)
        self._finish(name, time.monotonic() - began, *told[2:])
        return "ended" if heard else "killed"

    def _finish(self, name, seconds, status, why, processor_seconds):
        detail = why
        if status == "failed":
            log = log_path(self._kind, self._path, name)
            text = log.read_text(errors="replace") if log.exists() else ""
            detail = "\n".join(filter(None, [docstring(self._path, name), why, tail(text),
                                             f"(all of it: {log.relative_to(TOP)})"]))
        self._report.add(Outcome(self._label(name), status, seconds, detail, processor_seconds))

    def _label(self, name):
        return f"{self._kind}/{self._path.stem}:{name}"


def docstring(path, name):
    found = re.search(rf'^def {name}\(.*?\).*?:\n\s+"""(.*?)"""', path.read_text(encoding="utf-8"), re.M | re.S)
    return " ".join(found.group(1).split()) if found else ""
