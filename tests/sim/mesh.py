"""The figures that the mesh must reach, each over many seeds, beside other graphs in the same worlds.

    scripts/sim mesh                      every figure
    scripts/sim mesh quality --seeds 5    one of them: quality, large, dead-links, idle

quality     10,000 nodes: degree, latency stretch, survivors when 30 % die at once, and the repair
large       100,000 nodes: the same, one seed, with its memory and time
dead-links  300 nodes: a direct path dies under traffic; how long until it is routed around
idle        1,000 nodes: what a node sends and receives in a day without traffic

Latency is a round trip by each end's own routes against the direct one. The full mesh, the random graph and the
ring have as many links a node as the mesh has (the full mesh: all), and any node forwards there for any other, which
WireGuard's do not. A figure that misses its aim is told as missed.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = TOP / "build/out/agent/meshsim/fortros-meshsim"
FIGURES = ("quality", "large", "dead-links", "idle")
SEEDS = {"quality": 20, "large": 1, "dead-links": 20, "idle": 20}
NODES = {"quality": 10_000, "large": 100_000, "dead-links": 300, "idle": 1_000}
ARGUMENTS = {"quality": [], "large": ["--settle", "12min"], "dead-links": [], "idle": ["--settle", "40min"]}
COMMANDS = {"quality": "quality", "large": "quality", "dead-links": "dead-links", "idle": "idle"}


class Failed(Exception):
    """A world that could not be measured."""


def run_world(figure, seed, nodes):
    """What one world gave, with what it cost."""
    command = [PROGRAM, COMMANDS[figure], "--seed", str(seed), "--nodes", str(nodes), *ARGUMENTS[figure]]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Failed(f"seed {seed}: the program ended with {process.returncode}: {' '.join(map(str, command))}")
    result = json.loads(output)
    result["cpu_s"] = round(usage.ru_utime + usage.ru_stime, 1)
    result["peak_mib"] = usage.ru_maxrss // 1024
    return result


def of(results, *path):
    """The values of all worlds at that place, without the thousandths or millionths."""
    scale = {"_milli": 1e3, "_ppm": 1e6}.get(path[-1][path[-1].rfind("_"):], 1)
    values = []
    for result in results:
        for key in path:
            result = result[key]
        values.append(result / scale)
    return values


def spread(values, digits=2):
    """The median of all worlds, and in what bounds all are."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


class Table:
    """The rows of a figure, and whether each reached its aim."""

    def __init__(self):
        self.rows = []

    def row(self, what, value, aim="", reached=None):
        verdict = {None: "", True: "reached", False: "MISSED"}[reached]
        self.rows.append({"what": what, "value": value, "aim": aim, "verdict": verdict})
        print(f"  {what:58} {value:32} {aim:22} {verdict}", flush=True)

    def judged(self, what, values, aim, limit, digits=2):
        """The aim is an upper limit that the median world must keep to."""
        self.row(what, spread(values, digits), aim, statistics.median(values) <= limit)

    def at_least(self, what, values, aim, limit, digits=3):
        self.row(what, spread([100 * value for value in values], digits) + " %", aim,
                 statistics.median(values) >= limit)


def tell_quality(results, table, p50_limit, p90_limit):
    scored = of(results, "degree", "scored", "max_milli")
    table.judged("scored peers of a node, the most", scored, "at most 20", 20, 0)
    table.row("scored peers of a node, mean", spread(of(results, "degree", "scored", "mean_milli"), 1))
    table.row("LAN neighbours, mean", spread(of(results, "degree", "lan", "mean_milli"), 1))
    table.row("lighthouses, mean", spread(of(results, "degree", "lighthouses", "mean_milli"), 1))
    for name, title in (("mesh", "latency stretch of any two nodes"),
                        ("mesh_by_traffic", "latency stretch of what is sent (by bytes)")):
        p50 = of(results, "stretch", name, "p50_milli")
        p90 = of(results, "stretch", name, "p90_milli")
        judge = name == "mesh"
        if judge and p50_limit:
            table.judged(f"{title}, p50", p50, f"at most {p50_limit}", p50_limit)
        else:
            table.row(f"{title}, p50", spread(p50))
        if judge:
            table.judged(f"{title}, p90", p90, f"at most {p90_limit}", p90_limit)
        else:
            table.row(f"{title}, p90", spread(p90))
    table.row("  full mesh, p50 and p90", "1.00 and 1.00")
    for name, title in (("random", "random graph of that degree"), ("ring", "ring by key of that degree")):
        table.row(f"  {title}, p50 and p90",
                  " and ".join(f"{statistics.median(of(results, 'stretch', name, place)):.2f}"
                               for place in ("p50_milli", "p90_milli")))
    table.row("pairs with an answer, settled",
              spread([100 * value for value in of(results, "settled", "by_routes_ppm")], 3) + " %")
    print("  30 % dead at once, lighthouses among them; nothing repaired:")
    table.at_least("  connected by tunnels (lighthouses relay)", of(results, "dead", "tunnels_ppm"),
                   "at least 99.9 %", 0.999)
    table.at_least("  connected by direct links alone", of(results, "dead", "direct_ppm"), "at least 99.9 %", 0.999)
    table.row("  pairs with an answer if routes move to live lighthouses",
              spread([100 * value for value in of(results, "dead", "by_tunnels_ppm")], 3) + " %")
    table.row("  pairs with an answer at that very moment",
              spread([100 * value for value in of(results, "dead", "by_routes_ppm")], 1) + " %")
    table.row("  full mesh, random graph, ring",
              "100 %, " + ", ".join(f"{100 * statistics.median(of(results, 'dead', name)):.2f} %"
                                    for name in ("random_ppm", "ring_ppm")))
    print("  15 minutes later:")
    table.at_least("  pairs with an answer", of(results, "repaired", "by_routes_ppm"), "100 %", 1.0)
    left = [len(result["repaired"]["without_candidate"]) for result in results]
    table.judged("  nodes left with lighthouses only, who need not be", left, "0", 0, 0)
    table.judged("  scored peers of a node, the most",
                 of(results, "repaired", "degree", "scored", "max_milli"), "at most 20", 20, 0)


def tell_dead_links(results, table):
    for name, title in (("dead_both_ways_s", "both ways"), ("dead_one_way_s", "one way")):
        measured = [result for result in results if result[name]["count"]]
        count = sum(result[name]["count"] for result in measured)
        table.row(f"direct paths that died {title}", str(count))
        for percent in (50, 90):
            table.row(f"  no answers for, p{percent}", spread(of(measured, name, f"p{percent}_milli")) + " s")
        table.judged("  the longest", [max(of(measured, name, "max_milli"))], "at most 10 s", 10)
    table.judged("direct paths whose death was not noticed", [sum(of(results, "never_noticed"))], "0", 0, 0)
    table.row("direct again after the path is back, p50",
              spread(of(results, "direct_again_s", "p50_milli"), 0) + " s")
    table.row("  the longest", f"{max(of(results, 'direct_again_s', 'max_milli')):.0f} s")


def tell_idle(results, table):
    kilobytes = lambda *path: [value / 1000 for value in of(results, *path)]
    for kind, title in (("bytes_a_day", "a node"), ("metered_bytes_a_day", "a metered node")):
        table.row(f"{title}, in all, mean", spread(kilobytes(kind, "total", "mean_milli"), 0) + " KB a day")
        table.judged("  for each scored peer, mean", kilobytes(kind, "scored_peer", "mean_milli"),
                     "at most 1000 KB", 1000, 0)
        table.judged("  for each scored peer, p99 of nodes", kilobytes(kind, "scored_peer", "p99_milli"),
                     "at most 1000 KB", 1000, 0)
        table.row("  for each LAN neighbour, mean", spread(kilobytes(kind, "lan_peer", "mean_milli"), 0) + " KB")
        table.row("  for each lighthouse, mean", spread(kilobytes(kind, "lighthouse", "mean_milli"), 0) + " KB")
        table.row("  beacons, mean", spread(kilobytes(kind, "beacons", "mean_milli"), 0) + " KB")
    table.row("link changes in the hour, of all nodes", spread(of(results, "link_changes"), 0))


def measure(figure, seeds, nodes, jobs):
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        results = list(pool.map(lambda seed: run_world(figure, seed, nodes), seeds))
    world = results[0]["world"]
    print(f"\n{figure}: {len(results)} worlds of {nodes} nodes; the first: {world['sites']} sites in "
          f"{world['regions']} regions, {world['lighthouses']} lighthouses; without NAT {world['without_nat']}, "
          f"behind a cone {world['behind_cone']}, behind a symmetric one {world['behind_symmetric']}")
    print(f"  {'':58} {'median world (all worlds)':32} aim")
    table = Table()
    if figure == "quality":
        tell_quality(results, table, 1.10, 1.5)
    elif figure == "large":
        tell_quality(results, table, None, 1.8)
    elif figure == "dead-links":
        tell_dead_links(results, table)
    else:
        tell_idle(results, table)
    problems = [problem for result in results for problem in result["problems"]]
    table.judged("promises broken on the way", [len(problems)], "0", 0, 0)
    for problem in problems[:5]:
        print(f"    {problem}")
    table.row("CPU of a world, peak memory", f"{max(result['cpu_s'] for result in results):.0f} s, "
              f"{max(result['peak_mib'] for result in results)} MiB")
    return {"nodes": nodes, "seconds": round(time.monotonic() - began, 1), "rows": table.rows, "worlds": results}


def parse_arguments():
    parser = argparse.ArgumentParser(prog="scripts/sim mesh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=", ".join(FIGURES))
    parser.add_argument("--seeds", type=int, help="so many worlds")
    parser.add_argument("--first", type=int, default=1, metavar="SEED", help="of the first world")
    parser.add_argument("--nodes", type=int, help="of each world")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.figures if name not in FIGURES]
    if unknown:
        parser.error(f"no figure is called {unknown[0]}: there are {', '.join(FIGURES)}")
    return arguments


def main():
    arguments = parse_arguments()
    jobs = int(os.environ.get("FORTROS_JOBS") or len(os.sched_getaffinity(0)))
    place = TOP / os.environ.get("FORTROS_RESULT", "build/sim/mesh.json")
    result = json.loads(place.read_text()) if place.exists() else {}
    try:
        for figure in arguments.figures or FIGURES:
            seeds = range(arguments.first, arguments.first + (arguments.seeds or SEEDS[figure]))
            result[figure] = measure(figure, seeds, arguments.nodes or NODES[figure], jobs)
    except Failed as failure:
        print(f"FAILED {failure}")
        return 1
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(result, indent=1) + "\n", encoding="ascii")
    missed = [row["what"].strip() for figure in result.values() for row in figure["rows"] if row["verdict"] == "MISSED"]
    print(f"\n{len(missed)} aims missed" + "".join(f"\n  {what}" for what in missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
