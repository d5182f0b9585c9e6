"""The mesh in worlds where everything goes wrong: cuts, splits, mass deaths, churn, loss, revocations, liars.

Each world is made from its seed, goes wrong for half an hour and heals. Then, within the time that it may take, every
promise must hold, and for an hour no link may change. A world in which anything is not as it must be is told with its
seed: `fortros-meshsim run --seed N` shows what is in it and what is done to it, and `fortros-meshsim faults --seed N`
prints the very same line again.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = TOP / "build/out/agent/meshsim/fortros-meshsim"
WORLDS, PORTION = 1_000, 10
PERCENTILES = (50, 90, 99, 100)
CHECKS = (
    "both ends of every link have each other configured",
    "every live node reaches every other, and whoever has traffic has answers by both ends' own routes",
    "nobody is left with lighthouses only who could have a link",
    "no node has more than 20 peers beside its LAN and its lighthouses",
    "nobody is left below its lifeline by another's decision alone",
    "a revoked node is nobody's peer ten seconds later",
    "all this within 20 minutes of the healing; then no link changes for an hour",
)


def run_portion(nodes, first, count):
    """The lines of some worlds, and what was wrong in them."""
    command = [PROGRAM, "faults", "--seed", str(first), "--count", str(count), "--nodes", str(nodes)]
    ended = subprocess.run(command, capture_output=True, text=True)
    output = ended.stdout.splitlines()
    lines = [line.split() for line in output if not line.startswith("seed ")]
    problems = [line for line in output if line.startswith("seed ")]
    if len(lines) < count:
        problems.append(f"seed {first + len(lines)}: the program ended with {ended.returncode} {ended.stderr[-300:]}")
    return lines, problems


def percentile(values, of):
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * of // 100) - 1)] if ordered else 0


def parse_arguments():
    parser = argparse.ArgumentParser(prog="scripts/sim mesh-faults", description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=WORLDS)
    parser.add_argument("--first", type=int, default=1, metavar="SEED", help="of the first world")
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--seed", type=int, help="only this world, told")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    if arguments.seed is not None:
        command = [PROGRAM, "run", "--seed", str(arguments.seed), "--nodes", str(arguments.nodes)]
        return subprocess.run(command).returncode
    began = time.monotonic()
    end = arguments.first + arguments.worlds
    portions = [(arguments.nodes, first, min(PORTION, end - first)) for first in range(arguments.first, end, PORTION)]
    jobs = int(os.environ.get("FORTROS_JOBS") or len(os.sched_getaffinity(0)))
    lines, problems = [], []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for some_lines, some_problems in pool.map(run_portion, *zip(*portions)):
            lines += some_lines
            problems += some_problems
            for problem in some_problems[:3]:
                print(problem, flush=True)
    seeds = sorted({int(problem.split()[1].rstrip(":")) for problem in problems})
    measures = {"seconds from the healing until all holds": [int(line[2]) for line in lines],
                "link changes in the whole run": [int(line[3]) for line in lines],
                "link changes in the hour of rest, nobody lies": [int(line[4]) for line in lines if line[5] == "0"],
                "link changes in the hour of rest, liars": [int(line[4]) for line in lines if line[5] != "0"]}
    print(f"\n{len(lines)} worlds of {arguments.nodes} nodes in {time.monotonic() - began:.0f} s; "
          f"{len(seeds)} of them broke a promise\n")
    print(f"{'':48}" + "".join(f"{of:>9} %" for of in PERCENTILES))
    for what, values in measures.items():
        print(f"  {what:46}" + "".join(f"{percentile(values, of):11}" for of in PERCENTILES))
    print("\nheld in every world" if not problems else "\nnot held in every world")
    for check in CHECKS:
        print(f"  {check}")
    result = {"worlds": len(lines), "nodes": arguments.nodes, "seconds": round(time.monotonic() - began, 1),
              "failed_seeds": seeds, "problems": problems,
              **{what.replace(" ", "_"): {str(of): percentile(values, of) for of in PERCENTILES}
                 for what, values in measures.items()}}
    place = TOP / os.environ.get("FORTROS_RESULT", "build/sim/mesh-faults.json")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(result, indent=2) + "\n", encoding="ascii")
    if seeds:
        print(f"{len(seeds)} worlds failed; the first: scripts/sim mesh-faults --seed {seeds[0]}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
