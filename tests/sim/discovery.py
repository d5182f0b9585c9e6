"""Boots in random worlds, in virtual time: whoever can reach a gateway joins it, and nobody else.

Each world is made from its seed: links that come, go, flap or end at a captive portal; resolvers that are late,
silent, wrong or lie; gateways that are up, busy, waiting for an approval or broken; rogues that TLS refuses, that
say nothing, or that have stolen a gateway's TLS key; addresses and states that are wrong or lost; every policy.
The real machines of the boot run in it, and what came of it is held against what the world's description says
(tests/sim/discovery_oracle.h, discovery_judge.h). A world in which anything is not as it must be is told with its seed, and
`scripts/sim discovery --seed N` shows what is in it and all that happens.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = TOP / "build/out/tests/sim/discovery-worlds"
WORLDS, PORTION = 10_000, 250
PERCENTILES = (50, 90, 99, 100)
CHECKS = (
    "a way to a gateway that stays up long enough is found, in the time that it may take",
    "nobody joins a host without the gateway's keys",
    "no source is asked that the policy does not allow; without DNS no resolver at all",
    "nobody is called whom no allowed source has named",
    "every boot ends in its budget, and gives up no sooner",
    "who asks for patience is not asked again before; who has refused ends no other's promise",
    "no more connections and look-ups at once than allowed",
    "the exit status says what was there",
    "the overlay is up from the remembered set where that may be believed, and nowhere else; no stranger is a peer",
    "with a peer that answers and no gateway the boot ends well; without a hand-off no overlay is left behind",
    "no session goes on that the gateway has forgotten; a revocation takes the overlay down and deletes nothing",
)


def run_portion(first, count):
    """The lines of some worlds, and what was wrong in them."""
    ended = subprocess.run([PROGRAM, str(first), str(count)], capture_output=True, text=True)
    lines = [line.split() for line in ended.stdout.splitlines()]
    problems = ended.stderr.splitlines()
    if len(lines) < count:  # it has died, in the world after the last line
        problems.append(f"seed {first + len(lines)}: the program ended with {ended.returncode}")
    return lines, problems


def percentiles(values):
    """Of the times that end with each of PERCENTILES."""
    ordered = sorted(values)
    if not ordered:
        return {}
    return {str(of): ordered[max(0, -(-len(ordered) * of // 100) - 1)] for of in PERCENTILES}


def summary(lines, problems, seconds):
    """What build/sim/discovery.json holds."""
    searches = {way: [int(line[3]) for line in lines if line[5] == way and line[3] != "-"]
                for way in ("start", "later", "-")}
    allowed = [int(line[4]) for line in lines if line[5] == "start"]
    return {
        "worlds": len(lines),
        "seconds": round(seconds, 1),
        "virtual_hours": round(sum(int(line[2]) for line in lines) / 3_600_000, 1),
        "ended": dict(collections.Counter(line[1] for line in lines).most_common()),
        "due": {way: sum(line[5] == way for line in lines) for way in ("start", "later")},
        "joined": {way: len(found) for way, found in searches.items()},
        "search_ms": {way: percentiles(found) for way, found in searches.items()},
        "search_at_most_ms": percentiles(allowed),
        "remembered": {"up": sum(line[6] != "-" for line in lines),
                       "handed_off": sum(line[6] == "handed-off" for line in lines)},
        "problems": problems,
    }


def shown(milliseconds):
    return f"{milliseconds / 1000:9.3f} s"


def print_table(result):
    worlds = result["worlds"]
    print(f"{worlds} worlds, {result['virtual_hours']} hours of virtual time, in {result['seconds']} s\n")
    print("ended as")
    for status, count in result["ended"].items():
        print(f"  {status:20} {count:7} {100 * count / worlds:6.1f} %")
    print(f"\n{'virtual time from the first link to the join':46} {'due':>6} {'joined':>6}"
          + "".join(f"{of:>9} %" for of in PERCENTILES))
    for way, title in (("start", "a way is there from the start"), ("later", "one comes later, and stays"),
                       ("-", "none stays for as long as it may take")):
        times = "".join(shown(value) for value in result["search_ms"][way].values())
        print(f"  {title:44} {result['due'].get(way, 0):6} {result['joined'][way]:6}{times}")
    if result["search_at_most_ms"]:
        print(f"  {'allowed where it is there from the start':44} {'':13}"
              + "".join(shown(value) for value in result["search_at_most_ms"].values()))
    remembered = result["remembered"]
    print(f"\nthe overlay was up from the remembered set in {remembered['up']} worlds, "
          f"and handed on by it alone in {remembered['handed_off']}")
    print("\nheld in every world" if not result["problems"] else "\nnot held in every world")
    for check in CHECKS:
        print(f"  {check}")
    for problem in result["problems"]:
        print(f"FAILED {problem}")


def parse_arguments():
    parser = argparse.ArgumentParser(prog="scripts/sim discovery", description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=WORLDS)
    parser.add_argument("--first", type=int, default=1, metavar="SEED", help="of the first world")
    parser.add_argument("--seed", type=int, help="only this world, and everything that happens in it")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    if arguments.seed is not None:
        return subprocess.run([PROGRAM, "--seed", str(arguments.seed)]).returncode
    began = time.monotonic()
    end = arguments.first + arguments.worlds
    portions = [(first, min(PORTION, end - first)) for first in range(arguments.first, end, PORTION)]
    jobs = int(os.environ.get("FORTROS_JOBS") or len(os.sched_getaffinity(0)))
    lines, problems = [], []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for some_lines, some_problems in pool.map(run_portion, *zip(*portions)):
            lines += some_lines
            problems += some_problems
    result = summary(lines, problems, time.monotonic() - began)
    print_table(result)
    place = TOP / os.environ.get("FORTROS_RESULT", "build/sim/discovery.json")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(result, indent=2) + "\n", encoding="ascii")
    seeds = sorted({int(problem.split()[1].rstrip(":")) for problem in problems})
    if seeds:
        print(f"{len(seeds)} worlds failed; the first: scripts/sim discovery --seed {seeds[0]}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
