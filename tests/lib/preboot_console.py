"""What fortros-preboot said on a console: its stages and its verdict. Knows only its lines."""

import dataclasses
import re

SAID = re.compile(r"(?:^\[ *(?P<at>\d+\.\d+)\] )?fortros-preboot: (?P<text>.*)$")
STAGE = re.compile(r"\[(?P<number>\d)/9\] (?P<name>[a-z ]+): (?P<what>.*), (?P<took>[\d.]+) (?P<unit>ms|s)$")
FAILED = re.compile(r"(?P<name>[a-z-]+) \(exit status (?P<status>\d+)\): (?P<why>.*)$")
JOINED = re.compile(r"in the overlay as (?P<address>[0-9a-f:]+)")
VERDICT = r"fortros-preboot: ([a-z-]+ \(exit status \d+\): |in the overlay as )"
RESOURCES = re.compile(r"peak memory (?P<peak>\d+) KiB")
STAGE_NAMES = ("settings", "clock", "links", "discover", "authenticate", "enrol", "wireguard", "remember", "hand off")


@dataclasses.dataclass(frozen=True)
class Said:
    text: str
    at_s: float | None = None  # since the kernel's start, where the console shows it


@dataclasses.dataclass(frozen=True)
class Stage:
    number: int
    name: str
    what: str
    milliseconds: float
    at_s: float | None = None


@dataclasses.dataclass(frozen=True)
class Verdict:
    status: int
    name: str
    why: str


def said(line):
    """What the agent said in this console line, None when somebody else did."""
    found = SAID.search(line)
    return Said(found["text"], float(found["at"]) if found["at"] else None) if found else None


def stage(line):
    heard = said(line)
    found = heard and STAGE.match(heard.text)
    if not found:
        return None
    milliseconds = float(found["took"]) * (1000 if found["unit"] == "s" else 1)
    return Stage(int(found["number"]), found["name"], found["what"], milliseconds, heard.at_s)


def stages(lines):
    """The stages in the order in which they were said; a line that comes twice counts once."""
    found = {}
    for line in lines:
        if (one := stage(line)) and (one.number, one.what) not in found:
            found[one.number, one.what] = one
    return list(found.values())


def verdict(lines):
    """How the run ended; None while it has not."""
    for line in lines:
        if not (heard := said(line)):
            continue
        if found := FAILED.match(heard.text):
            return Verdict(int(found["status"]), found["name"], found["why"])
        if JOINED.match(heard.text):
            return Verdict(0, "joined", heard.text)
    return None


def peak_rss_kib(lines):
    """The most memory that the agent had at a time, by its own word; None when it did not say."""
    for line in lines:
        if (heard := said(line)) and (found := RESOURCES.match(heard.text)):
            return int(found["peak"])
    return None
