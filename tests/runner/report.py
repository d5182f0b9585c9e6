"""What became of the tests: printed as it happens, counted, and kept in build/test/results.json."""

import dataclasses
import json
import pathlib
import threading

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDER = TOP / "build/test"
OUTPUT_LIMIT_LINES = 400  # of a failed test's output; the file named beside it has all
REPEATED, REPEATED_LINES = 3, 80  # failures that are shown again at the end, where a log that was cut still has them
WORDS = {"passed": "ok  ", "failed": "FAIL", "skipped": "skip"}


@dataclasses.dataclass
class Outcome:
    name: str
    status: str  # passed, failed, skipped
    seconds: float = 0.0
    detail: str = ""
    processor_seconds: float = 0.0  # of this test and all that it has started; 0 where nobody has looked


class Report:
    """May be told by several threads."""

    def __init__(self):
        self.outcomes = []
        self._lock = threading.Lock()

    def add(self, outcome, *, quiet=False):
        """One line for one test. `quiet`: only if it has failed."""
        with self._lock:
            self.outcomes.append(outcome)
            if not quiet or outcome.status == "failed":
                why = f"  ({outcome.detail})" if outcome.status == "skipped" and outcome.detail else ""
                print(f"{WORDS[outcome.status]} {outcome.seconds:8.2f} s  {outcome.name}{why}", flush=True)
                if outcome.status == "failed" and outcome.detail:
                    print("     | " + outcome.detail.rstrip().replace("\n", "\n     | "), flush=True)
        if not quiet:
            self.save()

    def say(self, status, seconds, text):
        """A line that is no test."""
        with self._lock:
            print(f"{WORDS[status]} {seconds:8.2f} s  {text}", flush=True)

    def count(self, status):
        return sum(outcome.status == status for outcome in self.outcomes)

    def save(self):
        """What is known so far, for who looks after something has died."""
        with self._lock:
            FOLDER.mkdir(parents=True, exist_ok=True)
            new = FOLDER / "results.json.new"
            new.write_text(json.dumps([dataclasses.asdict(outcome) for outcome in self.outcomes], indent=1) + "\n")
            new.replace(FOLDER / "results.json")

    def finish(self):
        """The last lines; the exit status."""
        self.save()
        failed = [outcome for outcome in self.outcomes if outcome.status == "failed"]
        for outcome in failed[:REPEATED]:
            print(f"\n{outcome.name}:\n{tail(outcome.detail, REPEATED_LINES)}")
        if failed:
            print("failed: " + "; ".join(outcome.name for outcome in failed))
        if not self.outcomes:
            print("no test has this name")
        print(f"{self.count('passed')} passed, {len(failed)} failed, {self.count('skipped')} skipped", flush=True)
        return 1 if failed or not self.count("passed") else 0


def wanted(name, names):
    return not names or any(part.lower() in name.lower() for part in names)


def tail(text, limit=OUTPUT_LIMIT_LINES):
    lines = text.splitlines()
    if len(lines) > limit:
        lines = [f"... {len(lines) - limit} lines before", *lines[-limit:]]
    return "\n".join(lines)
