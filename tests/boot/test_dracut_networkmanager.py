"""A Debian 13 machine with dracut and NetworkManager: its own image enrols it, and its own root keeps the tunnel.

The image is made by Debian's dracut with our module, in the root that it then boots into. NetworkManager has one
profile, for any Ethernet, as an installer writes it.
"""

import atexit
import pathlib

from lib import embedded
from lib.once import once

TAKES_S = 280
TIME_LIMIT_S = 1500
WORK = pathlib.Path(__file__).resolve().parents[2] / "build/test/dracut-networkmanager"
PROFILES = "NetworkManager/system-connections"


def set_up(root):
    root.enable("NetworkManager.service", "multi-user.target")
    example = root.path(f"/usr/lib/{PROFILES}/fortros-uplink.nmconnection.example").read_bytes()
    root.write(f"/etc/{PROFILES}/fortros-uplink.nmconnection", example, 0o600)


def look(running):
    return {"devices": running.run("/usr/bin/nmcli -t -f DEVICE,STATE,CONNECTION device", check=False).stdout}


@once
def boots():
    play = embedded.Embedded(WORK, "dracut", ["dracut-core", "network-manager"], set_up).__enter__()
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


def test_networkmanager_leaves_the_overlay_alone():
    """It makes connections of its own of what it finds, and ends them with whoever asks."""
    for boot in boots()[1:]:
        overlay = [line for line in boot.extra["devices"].splitlines() if line.startswith("fortros")]
        assert overlay and all(":unmanaged:" in line for line in overlay), boot.extra


def test_the_lease_is_renewed_and_never_given_up():
    """The address ends with its lease, and the node with it."""
    embedded.expect_lease_renewed(boots()[2])


def test_the_maintainer_keeps_it():
    """Nobody looks after the tunnel."""
    embedded.expect_maintained(*boots()[1:])
