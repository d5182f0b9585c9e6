"""A Debian 13 machine with initramfs-tools and ifupdown: its own image enrols it, and its own root keeps the tunnel.

The image is made by Debian's mkinitramfs with our hook, in the root that it then boots into. ifupdown starts dhcpcd,
as it does in a Debian 13 that was not upgraded from an older one.
"""

import atexit
import pathlib

from lib import embedded
from lib.once import once

TAKES_S = 280
TIME_LIMIT_S = 1500
WORK = pathlib.Path(__file__).resolve().parents[2] / "build/test/initramfs-tools"
PACKAGES = ["initramfs-tools-core", "klibc-utils", "ifupdown", "dhcpcd-base"]
# udev has given the NIC its own name by now; it is the only one that begins so.
INTERFACES = """auto lo
iface lo inet loopback
auto /en*=uplink
iface uplink inet dhcp
    client ""
    metric 1024
"""


def set_up(root):
    root.write("/etc/network/interfaces", INTERFACES)
    root.enable("networking.service", "multi-user.target")


@once
def boots():
    play = embedded.Embedded(WORK, "initramfs-tools", PACKAGES, set_up).__enter__()
    atexit.register(play.__exit__, None, None, None)
    first = play.boot("first", embedded.FIRST_S)
    play.world.stop_resolvers()
    return play, first, play.boot("second", embedded.SECOND_S)


def test_the_first_boot_enrols_and_the_second_is_cached():
    """Nobody with initramfs-tools gets a node into his overlay."""
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
