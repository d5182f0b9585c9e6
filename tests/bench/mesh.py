"""One node's plan, one member's change, and memory, at 100 to 100,000 members.

The program mesh-plan measures one node alone, its peers answering at once (tests/bench/mesh_plan.cc). What is
told are medians, and how they grow: times of this machine say little, their ratio says whether it scales.
"""

import argparse
import json
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests"))

from lib import bench  # noqa: E402

PROGRAM = TOP / "build/out/tests/bench/mesh-plan"
MEMBERS = [100, 1_000, 10_000, 100_000]
COLUMNS = {"plan_us": "plan", "step_us": "a step after a change", "quiet_step_us": "a step without news",
           "join_us": "one comes", "change_us": "one changes", "leave_us": "one goes",
           "lighthouse_step_us": "a lighthouse's step after a change"}
AIMS = {"step at 10,000, ms": 5, "change at 10,000, ms": 0.1, "memory of a node's part, KB": 10,
        "plan, 100,000 / 1,000": 4, "change, 100,000 / 1,000": 4, "memory of a member, 100,000 / 1,000": 1.2}


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench mesh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    rows = {}
    for members in MEMBERS:
        out = subprocess.run([PROGRAM, str(members)], check=True, capture_output=True, text=True).stdout
        rows[members] = json.loads(out)
    print(f"{'microseconds at members':36}" + "".join(f"{members:>12,}" for members in MEMBERS))
    for column, title in COLUMNS.items():
        print(f"{title:36}" + "".join(f"{rows[members][column]:12.2f}" for members in MEMBERS))
    for column, title in {"member_bytes": "bytes of a member", "mesh_bytes": "bytes of a node's part",
                          "links": "links of it", "steps_in_10_min": "its steps in 10 quiet minutes"}.items():
        print(f"{title:36}" + "".join(f"{rows[members][column]:12,.0f}" for members in MEMBERS))
    at = rows[10_000]
    worst_change = max(at["join_us"], at["change_us"], at["leave_us"])
    bench.keep(rows)
    bench.judge({
        "step at 10,000, ms": at["step_us"] / 1000,
        "change at 10,000, ms": worst_change / 1000,
        "memory of a node's part, KB": at["mesh_bytes"] / 1024,
        "plan, 100,000 / 1,000": rows[100_000]["plan_us"] / rows[1_000]["plan_us"],
        "change, 100,000 / 1,000": rows[100_000]["join_us"] / rows[1_000]["join_us"],
        "memory of a member, 100,000 / 1,000": rows[100_000]["member_bytes"] / rows[1_000]["member_bytes"],
    }, AIMS)


if __name__ == "__main__":
    main()
