"""The clock ladder against real certificates in real TLS: which chain a node takes whose clock says this
and whose image was built then. One org that is a year old; its certificates are made by openssl with
the dates that each test needs.

    image built              leaf issued         now                          CA's end
    ────┬──────────────────────┬──────────────────┬──────────────────────────────┬────▶
      -30 d                   -2 d                0                            +9 years
"""

import datetime
import functools
import itertools
import json
import pathlib
import subprocess
import tempfile

from lib import tls
from lib.org import Org, now

PROBE = pathlib.Path(__file__).resolve().parents[2] / "build/out/tests/net/tls-probe"
NAME = "gateway.example.org"
BEGAN = now().replace(microsecond=0)
DAY, HOUR, SECOND = (datetime.timedelta(**{unit: 1}) for unit in ("days", "hours", "seconds"))
BUILT = BEGAN - 30 * DAY
ISSUED = BEGAN - 2 * DAY
FAR_AHEAD = BEGAN + 3653 * DAY
YEAR_1970 = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)

_numbers = itertools.count()


@functools.cache
def org():
    """An org and its CA; the folder is for whatever else."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="clock."))
    made = Org.make(folder / "org", NAME)
    made.redate(BEGAN - 365 * DAY, BEGAN + 9 * 365 * DAY)
    return made, made.gateway(folder / "gateway"), folder


def leaf(begin, end):
    """A gateway with a certificate of this life."""
    made, gateway, folder = org()
    return made.forge(gateway.copy(folder / f"gateway{next(_numbers)}"), begin=begin, end=end)


def look(gateway, *times, ca=None):
    """What a node told and thought. `times`: what its clock says, when its image was built, what it remembers."""
    with tls.Server(gateway.certificate, gateway.key) as server:
        words = [PROBE, ca or org()[0].ca, NAME, server.endpoint, ",".join(spelt(time) for time in times)]
        done = subprocess.run([str(word) for word in words], text=True, capture_output=True, timeout=60,
                              stdin=subprocess.DEVNULL, check=False)
    print(done.stdout, done.stderr, flush=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert ("answered" in told) == bool(server.requests), "something was sent before authentication, or nothing after"
    return told


def spelt(time):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def is_taken(gateway, *times, **more):
    told = look(gateway, *times, **more)
    assert told.get("answered"), told
    return told["clock"]


def refusal(gateway, *times, **more):
    told = look(gateway, *times, **more)
    assert "authenticated" not in told and told["failed"]["code"] == "untrusted", told
    return told["failed"]["text"]


def test_right_clock():
    """No node would join."""
    assert is_taken(leaf(ISSUED, BEGAN + 60 * DAY), BEGAN, BUILT) == spelt(BEGAN)


def test_clock_in_1970_and_a_leaf_issued_after_the_image():
    """A machine with an empty battery would find every certificate not valid yet, for ever."""
    clock = is_taken(leaf(ISSUED, BEGAN + 60 * DAY), YEAR_1970, BUILT)
    assert "not trusted" in clock and spelt(BUILT) in clock, clock


def test_clock_far_ahead():
    """A machine whose clock is at the year 2036 would find every certificate expired."""
    assert "not trusted" in is_taken(leaf(ISSUED, BEGAN + 60 * DAY), FAR_AHEAD, BUILT)


def test_clock_three_hours_off():
    """A hardware clock in local time would keep a machine out."""
    gateway = leaf(ISSUED, BEGAN + 60 * DAY)
    for distance in (-3 * HOUR, 3 * HOUR):
        assert is_taken(gateway, BEGAN + distance, BUILT) == spelt(BEGAN + distance)


def test_expired_leaf_and_a_right_clock():
    """A stolen certificate would be good for ever."""
    end = BEGAN - SECOND
    text = refusal(leaf(BUILT, end), BEGAN, BUILT)
    assert f"has expired (not after {spelt(end)}; the clock says {spelt(BEGAN)})" in text, text


def test_expired_leaf_and_a_clock_that_is_not_trusted():
    """A stolen certificate would open every machine whose battery is empty, however new its image."""
    end = BUILT - SECOND
    over = leaf(end - 60 * DAY, end)
    for clock in (YEAR_1970, FAR_AHEAD, BUILT - SECOND):
        text = refusal(over, clock, BUILT)
        assert f"has expired (not after {spelt(end)}; whatever the clock says, it is {spelt(BUILT)} or later)" in text, text


def test_expired_leaf_and_a_newer_one_remembered():
    """Who has seen the new certificate would still believe the old one."""
    over = leaf(BUILT, BEGAN - 10 * DAY)
    assert is_taken(over, YEAR_1970, BUILT, BEGAN - 10 * DAY)  # what the README says is not defended against
    text = refusal(over, YEAR_1970, BUILT, ISSUED)
    assert f"whatever the clock says, it is {spelt(ISSUED)} or later" in text, text


def test_remembered_time_that_cannot_be():
    """One bad write into flash would make every certificate expired until somebody opens the case."""
    is_taken(leaf(ISSUED, BEGAN + 60 * DAY), BEGAN, BUILT, BEGAN + 100 * 365 * DAY)


def test_leaf_not_valid_yet_and_a_trusted_clock():
    """A certificate from the future would be good before its time."""
    early = leaf(BEGAN + HOUR, BEGAN + 60 * DAY)
    assert "is not valid yet" in refusal(early, BEGAN, BUILT)
    is_taken(early, YEAR_1970, BUILT)  # nothing says that it is too early


def test_expired_ca():
    """A CA that has ended would go on for whoever spoils the clock: its leaf tells that it is later."""
    made, gateway, folder = org()
    old = made.copy(folder / "old")
    old.redate(BEGAN - 700 * DAY, BEGAN - 10 * DAY)
    fresh = old.forge(gateway.copy(folder / "under-old"), begin=ISSUED, end=BEGAN + 60 * DAY)
    for clock in (BEGAN, YEAR_1970, FAR_AHEAD):
        text = refusal(fresh, clock, BEGAN - 300 * DAY, ca=old.ca)
        assert "comes from" in text and "has expired" in text, text
