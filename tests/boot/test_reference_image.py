"""The reference image before a real Debian 13 root, which systemd-networkd rules: the root keeps the tunnel.

What the image itself does is judged by test_main_job, on a root of the test's own; here is what a distribution makes of
what it is handed: no systemd has run before it, nor has udev named anything.
"""

import atexit
import pathlib

from lib import embedded
from lib.once import once

TAKES_S = 280
TIME_LIMIT_S = 1500
WORK = pathlib.Path(__file__).resolve().parents[2] / "build/test/reference-image"


@once
def boots():
    play = embedded.Embedded(WORK, "reference", [], embedded.rule_by_networkd).__enter__()
    atexit.register(play.__exit__, None, None, None)
    first = play.boot("first", embedded.FIRST_S)
    play.world.stop_resolvers()
    return play, first, play.boot("second", embedded.SECOND_S)


def test_the_first_boot_enrols_and_the_second_is_cached():
    """Nobody with this image gets a node into his overlay."""
    embedded.expect_enrolled_then_cached(*boots())


def test_no_ping_is_lost_over_the_change_to_the_real_root():
    """What runs over the overlay stands still, or is cut, at every boot."""
    embedded.expect_no_ping_lost(*boots()[1:])


def test_there_is_one_address_and_one_route():
    """Answers leave with an address that the gateway does not know, or not at all."""
    embedded.expect_one_address(*boots()[1:])
    embedded.expect_one_route(*boots()[1:])


def test_key_and_port_stay():
    """Every peer would have to shake hands anew, and a firewall to be opened."""
    embedded.expect_same_tunnel(*boots()[1:])


def test_the_lease_is_renewed_and_never_given_up():
    """The address ends with its lease, and the node with it."""
    embedded.expect_lease_renewed(boots()[2])


def test_the_maintainer_keeps_it():
    """Nobody looks after the tunnel."""
    embedded.expect_maintained(*boots()[1:])
