"""A Debian 13 machine with dracut and systemd-networkd: its own image enrols it, and its own root keeps the tunnel.

The image is made by Debian's dracut with our module, in the root that it then boots into. networkd has a catch-all
file beside the ones that we install, as in so many places.
"""

import atexit
import pathlib

from lib import embedded
from lib.once import once

TAKES_S = 420
TIME_LIMIT_S = 1500
WORK = pathlib.Path(__file__).resolve().parents[2] / "build/test/dracut-networkd"


def look(running):
    return {"networkd": running.run("/usr/bin/networkctl --no-pager --no-legend list", check=False).stdout}


@once
def boots():
    play = embedded.Embedded(WORK, "dracut", ["dracut-core"], embedded.rule_by_networkd).__enter__()
    atexit.register(play.__exit__, None, None, None)
    first = play.boot("first", embedded.FIRST_S, look)
    play.world.stop_resolvers()
    return play, first, play.boot("second", embedded.SECOND_S, look)


def test_the_first_boot_enrols_and_the_second_is_cached():
    """Nobody with dracut gets a node into his overlay."""
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


def test_networkd_leaves_the_overlay_alone_under_a_catch_all():
    """It strips what it did not make."""
    for boot in boots()[1:]:
        overlay = [line for line in boot.extra["networkd"].splitlines() if "fortros" in line]
        assert overlay and all("unmanaged" in line for line in overlay), boot.extra


def test_the_lease_is_renewed_and_never_given_up():
    """The address ends with its lease, and the node with it."""
    embedded.expect_lease_renewed(boots()[2])


def test_the_maintainer_keeps_it():
    """Nobody looks after the tunnel."""
    embedded.expect_maintained(*boots()[1:])
