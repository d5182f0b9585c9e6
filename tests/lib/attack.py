"""One attack on a node, judged from all sides: a world with an honest gateway, where the node that meets
the attacker alone must refuse him with the right words, and the node that meets both must become a member.

    with attacker(forged(usage=None)) as rogue:
        refused(rogue, "the gateway's certificate has no extended key usage")
"""

import functools
import itertools
import re

from lib.discovery import World, honest_org
from lib.rogue import Rogue, furnish

HONEST, ATTACKER = "203.0.113.5", "203.0.113.66"
ENROLLED = r"\[6/9\] enrol: enrolled as"
NO_GATEWAY, UNTRUSTED = 7, 8
# Long enough that only what waits for it meets it, on however slow a machine.
PATIENCE = "AttemptTimeout=20s"
# What a busy machine may be late by when a deadline has come.
LATE_S = 10

_numbers = itertools.count()


@functools.cache
def world():
    """For all tests of a file: the honest gateway, and the address of the attacker."""
    made = World()
    made.site = made.gateway(HONEST)
    made.address(ATTACKER)
    return made


@functools.cache
def keys():
    """A second gateway of the honest org, whose keys the attacker has got hold of."""
    return honest_org().gateway(world().net.folder / "keys")


def fresh():
    """The attacker's folder, with those keys and a sound certificate."""
    copy = keys().copy(world().net.folder / f"attacker.{next(_numbers)}")
    furnish(copy.folder, honest_org())
    return copy


def forged(org=None, **how):
    """The same with a certificate that certs/ would never issue."""
    return (org or honest_org()).forge(fresh(), **how)


def attacker(gateway, *options, answer=None):
    return Rogue(world(), ATTACKER, gateway.folder, *options, answer=answer)


class Boot:
    """A boot as far as enrolment, of a node that nobody has ever seen, or of the one before."""

    def __init__(self, *gateways, settings=(), keep_key=False):
        for name in () if keep_key else ("key", "state"):
            (world().net.folder / name).unlink(missing_ok=True)
        self.invite = world().site.invite()
        self.settings = list(settings) or [PATIENCE]
        self.process = world().boot("Sources=cached", "Race=no", *self.settings, invite=self.invite, gateways=gateways)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stop()

    def gave_up(self, pattern=""):
        """The first line that tells why the attacker was given up."""
        return self.process.wait_for(f"{re.escape(ATTACKER)}:443: .*{pattern}")

    def enrolled(self):
        self.process.wait_for(ENROLLED)

    def kept_deadlines(self):
        """By the agent's own clock the attacker was given up in time: AttemptTimeout= from the attempt to the
        authentication, and as long again for the answer."""
        *_, timeout = (line for line in self.settings if line.startswith("AttemptTimeout="))  # the last one counts
        limit_s = LATE_S + float(timeout.removeprefix("AttemptTimeout=").removesuffix("s"))
        events = world().events()
        started = max(number for number, event in enumerate(events) if event["event"] == "started")
        begun, times = {}, []
        for event in events[started:]:
            fields, at = event.get("fields", {}), event["t_ms"] / 1000
            if event["event"] == "attempt" and fields["endpoint"] == f"{ATTACKER}:443":
                begun[fields["id"]] = at
            elif event["event"] == "attempt-authenticated" and fields["id"] in begun:
                times.append(at - begun[fields["id"]])
                begun[fields["id"]] = at
            elif event["event"] == "gave-up" and fields["id"] in begun:
                times.append(at - begun.pop(fields["id"]))
        assert times and max(times) <= limit_s, (times, limit_s)


def refused(rogue, words, *settings, code="untrusted"):
    """Before it is authenticated: nothing has been said to it, in time. `rogue` has all that came."""
    settings = [PATIENCE, *settings]
    report = world().probe("Sources=cached", *settings, gateways=[ATTACKER])
    assert report.status == (UNTRUSTED if code == "untrusted" else NO_GATEWAY), report.status
    said, text = report.error(f"{ATTACKER}:443")
    assert said == code and words in text, (said, text)
    with Boot(ATTACKER, HONEST, settings=settings) as boot:
        assert words in boot.gave_up()
        boot.enrolled()
        boot.kept_deadlines()
    rogue.wait_for_ends(2)
    assert rogue.received == [], rogue.received


def disbelieved(rogue, words, *settings, keep_key=False):
    """It was authenticated by its certificate, and its answer was not believed. It has got no invite in the
    clear for it."""
    with Boot(ATTACKER, HONEST, settings=[PATIENCE, *settings], keep_key=keep_key) as boot:
        line = boot.gave_up()
        assert words in line, line
        boot.enrolled()
        boot.kept_deadlines()
    rogue.wait_for_ends(1)
    assert len(rogue.asked) == 1, "the node did not come back in this round"
    for data in rogue.received:
        assert boot.invite.encode() not in data and b'"invite"' not in data
