"""What an idle node costs its line: real tunnels, real maintainers, nobody says anything, ten minutes of real time.

The bed of the mesh's tests (tests/lib/mesh_bed.py): seven nodes, of them two lighthouses, and a gateway. When all are
linked, the bytes of IP packets on each line are counted for the time given, both directions together, and stated for
a day. The vps is the node that is looked at: it has no NAT and its line is its own. Behind a NAT keepalives come in
addition: `cottage` is a line with one node behind one.
"""

import argparse
import itertools
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lib import bench  # noqa: E402
from lib.mesh_bed import LIGHTHOUSES, NODES, Bed  # noqa: E402

DAY_S = 24 * 3600
SECONDS = 600
SETTLE_S = 120  # all are linked, and what the beginning costs is over
LINKED_WITHIN_S = 180
RELAYS = ("gw", *LIGHTHOUSES)
AIM_MB = 1.0  # a day for each scored peer
LOOKED_AT = ("vps", "cottage")


def bytes_of(bed):
    return {pair: counted.bytes for pair, counted in bed.flows().items()}


def measure(bed, seconds):
    for one, other in itertools.combinations(NODES, 2):
        bed.until_direct(one, other, LINKED_WITHIN_S)
    bed.sleep(SETTLE_S)
    before = bytes_of(bed)
    bed.sleep(seconds)
    after = bytes_of(bed)
    return {pair: (count - before.get(pair, 0)) * DAY_S / seconds / 1e6 for pair, count in after.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=SECONDS, help="how long to count (default %(default)s)")
    seconds = parser.parse_args().seconds
    bed = Bed().start()
    megabytes = measure(bed, seconds)
    result = {}
    print(f"{'line':10} {'with':10} {'MB a day, both directions':>28}")
    for site in LOOKED_AT:
        others = sorted({name for pair in megabytes if site in pair for name in pair} - {site})
        for other in others:
            both = megabytes.get((site, other), 0) + megabytes.get((other, site), 0)
            result[f"{site} with {other}"] = both
            print(f"{site:10} {other:10} {both:28.3f}")
        result[f"{site} in all"] = sum(value for pair, value in megabytes.items() if site in pair)
        print(f"{site:10} {'in all':10} {result[f'{site} in all']:28.3f}")
    # Three of the vps's four peers share the office's line.
    peers = len(NODES) - 1
    result["vps, MB a day for each scored peer"] = sum(
        value for pair, value in megabytes.items() if "vps" in pair and not set(pair) & set(RELAYS)) / peers
    bench.keep({"seconds": seconds, "megabytes_a_day": result})
    bench.judge(result, {"vps, MB a day for each scored peer": AIM_MB})


if __name__ == "__main__":
    main()
