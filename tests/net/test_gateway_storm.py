"""Many nodes at once, of which none is to starve: an office behind one address, and clients that dawdle.

How fast that goes is scripts/bench's business (storm, slow); here everybody is patient, and must be served.
"""

import contextlib
import functools
import subprocess
import tempfile
import time

from lib import storm
from lib.gateway import ADDRESS, OUT, Site

CROWD = OUT / "tests/bench/slow-crowd"
OFFICE, ELSEWHERE, SLOW = 300, 50, 400
PATIENCE_S = 60


@functools.cache
def site():
    """A gateway that runs, and nodes that have enrolled."""
    made = Site(tempfile.mkdtemp(prefix="storm."))
    made.server = made.start()
    invites = made.folder / "invites"
    invites.write_text(made.invite("--uses", str(OFFICE + ELSEWHERE)) + "\n", encoding="ascii")
    told = storm.run(made, "enroll", nodes=OFFICE + ELSEWHERE, patience=PATIENCE_S, invites=invites)
    assert told["in"] == OFFICE + ELSEWHERE, told
    return made


def assert_all_in_at_once(told, nodes):
    assert told["tries"] == [nodes], told


def test_an_office_behind_one_address_comes_in_and_so_do_others():
    """A limit by address would keep an office out, and none at all everybody else."""
    office = storm.start(site(), "join", nodes=OFFICE, per_address=10**6, patience=PATIENCE_S)
    elsewhere = storm.start(site(), "join", first=OFFICE + 1, nodes=ELSEWHERE, per_address=1, patience=PATIENCE_S)
    assert_all_in_at_once(storm.finish(office), OFFICE)
    assert_all_in_at_once(storm.finish(elsewhere), ELSEWHERE)


@contextlib.contextmanager
def slow_clients():
    crowd = subprocess.Popen([CROWD, f"{ADDRESS}:{site().port}", site().org.gateway_name, str(SLOW)],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        assert crowd.stdout.readline() == "ready\n"
        yield
    finally:
        crowd.terminate()
        crowd.communicate(timeout=60)


def connections():
    """How many there are in each state, but for those in none."""
    begin = 'fortros_gateway_connections{state="'
    return {name[len(begin):-2]: value for name, value in site().metrics().items() if name.startswith(begin) and value}


def test_clients_that_dawdle_hold_nothing_that_others_wait_for():
    """A few bytes of a handshake would have a place among those that shake hands, and a gateway has but few."""
    # Two of the five kinds never send a whole first message; of the others a request is awaited.
    silent = SLOW * 2 // 5
    expected = {"silent": silent, "reading": SLOW - silent}
    with slow_clients():
        end = time.monotonic() + PATIENCE_S
        while (found := connections()) != expected and time.monotonic() < end:
            time.sleep(0.1)
        assert found == expected


def test_nodes_come_in_beside_clients_that_dawdle():
    """A few hundred silent connections would keep a whole org out."""
    with slow_clients():
        assert_all_in_at_once(storm.run(site(), "join", nodes=ELSEWHERE, patience=PATIENCE_S), ELSEWHERE)
