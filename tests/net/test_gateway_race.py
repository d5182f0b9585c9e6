"""Fifty nodes, one single-use invite, and a gateway that is killed in the middle of it, a hundred times."""

import concurrent.futures
import contextlib
import os
import random
import sqlite3
import tempfile
import threading
import time

from lib.gateway import Client, Site

TIME_LIMIT_S = 1500
TAKES_S = 40
NODES = 50
ROUNDS = int(os.environ.get("FORTROS_RACE_ROUNDS", "100"))
SEED = int(os.environ.get("FORTROS_SEED", "20261122"))
# Moments to kill it at: so many nodes have been answered, or one is on the disk and its answer is not
# out yet. Most kills are near the moment at which the invite is spent.
ANSWERS_BEFORE_KILL = (0, 0, 1, 1, 2, 5, 20, 45)
AFTER_KILL_MOMENT_S = 0.02
COME_AGAIN = 503
TRIES = 1000


class Killed:
    """A gateway that is killed once at its moment, and is back at once."""

    def __init__(self, site, moment, delay_s):
        self._site = site
        self._moment = moment
        self._delay_s = delay_s
        self._answers = 0
        self._changed = threading.Condition()
        self.server = site.start()
        self._killer = threading.Thread(target=self._run)
        self._killer.start()

    def answered(self):
        with self._changed:
            self._answers += 1
            self._changed.notify()

    def _run(self):
        if self._moment is None:
            with contextlib.suppress(Exception):  # killed without it, when the log is slow
                self.server.wait_for("event=enrolled", 10)
        else:
            with self._changed:
                self._changed.wait_for(lambda: self._answers >= self._moment, 60)
        time.sleep(self._delay_s)  # a random moment is what is tested
        self.server.kill()
        self.server = self._site.start()

    def stop(self):
        self._killer.join(120)
        self.server.kill()


def ask_until_told(node, line, gateway):
    """What a node does: asks again until it is told yes or no. Its answer and the number of tries."""
    for tries in range(1, TRIES):
        answer = node.tell(line)
        if "status" in answer and answer["status"] != COME_AGAIN:
            gateway.answered()
            return answer, tries
        time.sleep(0.02)  # it is being restarted, or has more to write than it can on a busy machine
    raise AssertionError(f"nobody answered: {answer}")


def race(site, clients, pool, invite, first_seed, moment, delay_s):
    gateway = Killed(site, moment, delay_s)
    try:
        asked = [pool.submit(ask_until_told, node, f"enroll {first_seed + i} {invite}", gateway)
                 for i, node in enumerate(clients)]
        return [future.result() for future in asked]
    finally:
        gateway.stop()


def members_by_invite(site):
    with contextlib.closing(sqlite3.connect(site.database)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("SELECT count(*) FROM invites WHERE used > uses").fetchone() == (0,)
        return database.execute("SELECT invite, key FROM nodes ORDER BY revision").fetchall()


def test_exactly_one_of_fifty_is_enrolled_whenever_the_gateway_dies():
    """An invite would admit two machines, or lock out the one that it had admitted."""
    print(f"seed {SEED}, {ROUNDS} rounds", flush=True)
    dice = random.Random(SEED)
    site = Site(tempfile.mkdtemp(prefix="gateway."))
    invites = [site.invite() for _ in range(ROUNDS)]
    repeated = 0
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(site)) for _ in range(NODES)]
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(NODES))
        for number, invite in enumerate(invites):
            moment = dice.choice((None, None, *ANSWERS_BEFORE_KILL))
            delay_s = dice.choice((0, dice.uniform(0, AFTER_KILL_MOMENT_S)))
            where = f"seed {SEED}, round {number}, killed after {moment} answers and {delay_s:.4f} s"
            answers = race(site, clients, pool, invite, 1 + number * NODES, moment, delay_s)
            statuses = [answer["status"] for answer, _ in answers]
            assert sorted(statuses) == [200] + [401] * (NODES - 1), f"{where}: {sorted(statuses)}"
            members = members_by_invite(site)
            assert len(members) == number + 1, f"{where}: {len(members)} members"
            assert len({invite for invite, _ in members}) == number + 1, f"{where}: an invite admitted two"
            told_yes = answers[statuses.index(200)]
            known = {entry["public_key"] for entry in site.json("node", "list")}
            assert told_yes[0]["public_key"] in known, f"{where}: a node that was told yes is forgotten"
            repeated += told_yes[1] > 1
            for node in clients:
                node.tell("close")
    print(f"in {repeated} of {ROUNDS} rounds the winner had to ask more than once", flush=True)
