"""A doctest program, run in shards beside each other: ranges of its test cases, each in a process of its own."""

import os
import re
import signal
import subprocess
import threading
import time
import xml.etree.ElementTree

from runner.report import FOLDER, TOP, Outcome, tail, wanted

BUILD = TOP / "build/out-asan/tests/unit"
PROGRAMS = ("unit", "unit-openssl")
TIME_LIMIT_S = 600
# So small that the last ones to end leave no processor idle for long.
CASES_IN_A_SHARD = 40
ENVIRONMENT = {
    "ASAN_OPTIONS": "abort_on_error=0:detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}


class UnitProgram:
    """All shards of a program share one of these."""

    def __init__(self, report, program, names, build=BUILD):
        self.label = f"unit/{program}"
        self._report = report
        self._path = build / program
        self._names = names
        self._lock = threading.Lock()
        self._shards_left = 0
        self._seen, self._skipped = set(), {}  # cases by file, line and name

    def shards(self):
        """Functions that run a range each, at once or not; none when the program can't be asked."""
        count = self._count()
        ranges = [(first, min(first + CASES_IN_A_SHARD - 1, count)) for first in range(1, count + 1, CASES_IN_A_SHARD)]
        self._shards_left = len(ranges)
        # The last first: whole boots in virtual time take longest, and come last among the sources.
        return [lambda first=first, last=last: self._run(first, last) for first, last in reversed(ranges)]

    def list(self):
        if self._path.exists():
            subprocess.run([self._path, "-ltc"], check=False)

    def _filters(self):
        # Commas and backslashes mean something in doctest's filters.
        patterns = ",".join("*" + re.sub(r"[\\,]", "?", name) + "*" for name in self._names)
        return [f"-tc={patterns}"] if self._names else []

    def _count(self):
        if not self._path.exists():
            self._report.add(Outcome(self.label, "failed", 0.0, f"{self._path} has not been built"))
            return 0
        done = subprocess.run([self._path, "--count", *self._filters()], cwd=TOP, text=True, errors="replace",
                              capture_output=True, stdin=subprocess.DEVNULL, env=os.environ | ENVIRONMENT, check=False)
        found = re.search(r"current filters: (\d+)", done.stdout)
        if done.returncode or not found:
            self._report.add(Outcome(self.label, "failed", 0.0, "can't count its cases\n" + done.stdout + done.stderr))
            return 0
        return int(found[1])

    def _run(self, first, last):
        label = f"{self.label}, cases {first} to {last}"
        folder = FOLDER / "unit"
        folder.mkdir(parents=True, exist_ok=True)
        xml_path = folder / f"{self._path.name}.{first}.xml"
        xml_path.unlink(missing_ok=True)
        began, problem = time.monotonic(), ""
        process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", self._path, "--reporters=xml", f"--out={xml_path}", "--duration=true",
                                    f"--first={first}", f"--last={last}", *self._filters()],
                                   cwd=TOP, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL, errors="replace", env=os.environ | ENVIRONMENT,
                                   start_new_session=True)
        try:
            output, _ = process.communicate(timeout=TIME_LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            problem = f"did not end within {TIME_LIMIT_S} s"
        seconds = time.monotonic() - began
        try:
            cases = list(xml.etree.ElementTree.parse(xml_path).iter("TestCase"))
        except (OSError, xml.etree.ElementTree.ParseError):
            cases = []
            problem = problem or "ended before it could report"
        ran = self._tell(cases, tail(output))
        if not problem and len(ran) != last - first + 1:
            problem = f"ran {len(ran)} cases of {last - first + 1}"
        if process.returncode and "failed" not in ran:
            problem = problem or f"ended with status {process.returncode}"
        if problem:
            self._report.add(Outcome(label, "failed", seconds, problem + "\n" + tail(output)))
        else:
            counts = {word: ran.count(word) for word in ("passed", "failed") if word in ran}
            self._report.say("failed" if "failed" in ran else "passed", seconds,
                             f"{label}: " + ", ".join(f"{number} {word}" for word, number in counts.items()))
        self._end_of_shard()
        return not problem

    def _tell(self, cases, output):
        """Reports what ran; whether each passed or failed."""
        ran = []
        for case in cases:
            name, which = case.get("name"), (case.get("filename"), case.get("line"), case.get("name"))
            if case.get("skipped") == "true":  # by its own word, or because it is another shard's
                with self._lock:
                    self._skipped[which] = name
                continue
            with self._lock:
                self._seen.add(which)
            result = case.find("OverallResultsAsserts")
            passed = result is not None and result.get("test_case_success") == "true"
            seconds = float(result.get("duration") or 0) if result is not None else 0.0
            ran.append("passed" if passed else "failed")
            self._report.add(Outcome(f"{self.label}: {name}", ran[-1], seconds,
                                     "" if passed else why_failed(case) + "\n" + output), quiet=True)
        return ran

    def _end_of_shard(self):
        """After the last one: what no shard has run skips itself."""
        with self._lock:
            self._shards_left -= 1
            last = self._shards_left == 0
        if last:
            for which, name in self._skipped.items():
                if which not in self._seen and wanted(name, self._names):
                    self._report.add(Outcome(f"{self.label}: {name}", "skipped"), quiet=True)
            self._report.save()


def why_failed(case):
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
