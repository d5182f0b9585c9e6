"""By which ways nodes reach each other, and how soon after something has died: lib/mesh_bed.py draws the internet.

Judged by real packets: pings each 100 ms with the times of the guest's kernel, TCP connections, and a count of
what goes over each line. The CPU is emulated and shared, which adds to every time: a bound is what is promised,
and what it costs is printed."""

import json

from lib.mesh_bed import EVERYBODY, Bed
from lib.once import once

TIME_LIMIT_S = 240


bed = once(Bed)


def test_every_node_boots_and_its_interfaces_are_adopted():
    """A tunnel would blink at each boot, or come up without anybody who keeps it."""
    for name in EVERYBODY:
        assert bed().runs(name), bed().told()
        links = {link["ifname"]: link["ifindex"] for link in json.loads(bed().run(f"ip -n {name} -j link"))}
        handed_over = {entry["name"]: entry["ifindex"] for entry in bed().hand_off(name)["interfaces"]}
        assert handed_over.items() <= links.items(), f"{name}: {handed_over} became {links}"
        assert {"fortros0", "fortros-lh0"} <= handed_over.keys(), handed_over
