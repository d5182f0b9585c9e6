"""A Debian 13 machine with initramfs-tools and ifupdown: its own image enrols it, and its own root keeps the tunnel.

The image is made by Debian's mkinitramfs with our hook, in the root that it then boots into. ifupdown starts dhclient,
which asks by an identifier of its own and gets a second address; what that means for the tunnel is not judged here.
"""

import atexit
import pathlib

from lib import embedded
from lib.once import once

TAKES_S = 240
TIME_LIMIT_S = 1500
WORK = pathlib.Path(__file__).resolve().parents[2] / "build/test/initramfs-tools"
PACKAGES = ["initramfs-tools-core", "klibc-utils", "ifupdown", "isc-dhcp-client"]
# udev has given the NIC its own name by now; it is the only one that begins so.
INTERFACES = "auto lo\niface lo inet loopback\nauto /en*=uplink\niface uplink inet dhcp\n"


def set_up(root):
    root.write("/etc/network/interfaces", INTERFACES)
    root.enable("networking.service", "multi-user.target")


@once
def boots():
    play = embedded.Embedded(WORK, "initramfs-tools", PACKAGES, set_up).__enter__()
    atexit.register(play.__exit__, None, None, None)
    first = play.boot("first", embedded.FIRST_S)
    play.world.stop_resolvers()
    return play, first, play.boot("second", embedded.FIRST_S)


def test_the_first_boot_enrols_and_the_second_is_cached():
    """Nobody with initramfs-tools gets a node into his overlay."""
    embedded.expect_enrolled_then_cached(*boots())


def test_key_and_port_stay():
    """Every peer would have to shake hands anew, and a firewall to be opened."""
    embedded.expect_same_tunnel(*boots()[1:])


def test_the_maintainer_keeps_it():
    """Nobody looks after the tunnel."""
    embedded.expect_maintained(*boots()[1:])
