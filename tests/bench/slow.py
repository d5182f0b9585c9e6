"""Five thousand clients that are slow or silent: what they cost the gateway, and the nodes that come meanwhile.

A fifth each: a connection without a word, the first bytes of a handshake, a whole handshake and not a word after it, a
request of a byte a second, a body of a byte a second (build/out/tests/bench/slow-crowd); whoever is thrown out comes
again a second later. They and the nodes are on the same processors as the gateway, so what is measured has their own
work in it; their CPU is told.

Two thousand known nodes join, alone and beside them:

    arrival    all at once, when the slow ones have just come, whom nobody knows yet; in turns with nodes alone
    later      all at once, when each of the slow ones has been thrown out for the first time
    paced      spread evenly over two of their rounds: how long a join takes

    memory     that the gateway has more with them, for each of them
    slowed     the time until the last node is in, beside them over alone, medians, or that of one join
"""

import argparse
import contextlib
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lib import bench, gateway, storm  # noqa: E402

CROWD = gateway.OUT / "tests/bench/slow-crowd"
SLOW, NODES, ROUNDS = 5000, 2000, 5
ROUND_OF_SLOW_S = 11  # ten until they are thrown out, and one until they come again
AIMS = {"memory for each, KiB": 32, "slowed at arrival, times": 4 / 3, "slowed later, times": 4 / 3,
        "slowed when paced, times": 4 / 3, "tries": 1}


class Crowd:
    """Slow clients, all of whom have come once."""

    def __init__(self, site, count):
        self.count = count
        self.process = subprocess.Popen([CROWD, f"{gateway.ADDRESS}:{site.port}", site.org.gateway_name, str(count)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def end(self):
        self.process.terminate()
        out, _ = self.process.communicate(timeout=60)
        return int(out)


@contextlib.contextmanager
def slow_clients(site, count):
    crowd = Crowd(site, count)
    try:
        yield crowd
    finally:
        print(f"{count} slow clients were thrown out {crowd.end()} times", file=sys.stderr)


def cpu_while(pids, call):
    """What it returns, and the CPU that each of them has used meanwhile, in parts of one processor."""
    began, before = time.monotonic(), [bench.cpu_s(pid) for pid in pids]
    told = call()
    took = time.monotonic() - began
    return told, [(bench.cpu_s(pid) - used) / took for pid, used in zip(pids, before, strict=True)]


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench slow", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--slow", type=int, default=SLOW)
    parser.add_argument("--nodes", type=int, default=NODES)
    arguments = parser.parse_args()
    rounds, slow, nodes = arguments.rounds, arguments.slow, arguments.nodes
    bench.take_all_descriptors()
    alone, arrival, later = [], [], []
    with tempfile.TemporaryDirectory(dir=bench.TOP / "build") as folder:
        site = gateway.Site(folder)
        invites = pathlib.Path(folder) / "invites"
        invites.write_text(site.invite("--uses", str(nodes)) + "\n", encoding="ascii")

        def join(**options):
            return storm.run(site, "join", nodes=nodes, **options)

        with bench.serving(site) as pid:
            told = storm.run(site, "enroll", nodes=nodes, patience=30, invites=invites)
            assert told["in"] == nodes, told
            before = bench.memory_mib(pid)
            paced_alone, idle_cpu = cpu_while([pid], lambda: join(over=2 * ROUND_OF_SLOW_S))
            for _ in range(rounds):
                alone.append(join())
                with slow_clients(site, slow):
                    arrival.append(join())
                    memory = bench.memory_mib(pid)
            with slow_clients(site, slow) as crowd:
                time.sleep(ROUND_OF_SLOW_S)
                for _ in range(rounds):
                    later.append(join())
                _, quiet_cpu = cpu_while([pid, crowd.process.pid], lambda: time.sleep(2 * ROUND_OF_SLOW_S))
                paced, busy_cpu = cpu_while([pid, crowd.process.pid], lambda: join(over=2 * ROUND_OF_SLOW_S))

    last = {name: statistics.median(told["last_s"] for told in row)
            for name, row in (("alone", alone), ("arrival", arrival), ("later", later))}
    tries = max(told["most_tries"] for told in (*alone, *arrival, *later, paced_alone, paced))
    print(f"{nodes} joins: last in after {last['alone']:.2f} s alone, beside {slow} slow ones {last['arrival']:.2f} s "
          f"when they have just come, {last['later']:.2f} s later")
    for name, told in (("alone", paced_alone), ("beside", paced)):
        print(f"one of {nodes} joins in {2 * ROUND_OF_SLOW_S} s, {name}: median {1000 * told['took_median_s']:.1f} ms, "
              f"90 % {1000 * told['took_p90_s']:.1f} ms, 99 % {1000 * told['took_p99_s']:.1f} ms")
    print(f"CPU: gateway {100 * quiet_cpu[0]:.0f} %, slow ones {100 * quiet_cpu[1]:.0f} % of one processor; with paced "
          f"joins {100 * busy_cpu[0]:.0f} % and {100 * busy_cpu[1]:.0f} %; paced joins alone {100 * idle_cpu[0]:.0f} %")
    each = (memory - before) * 1024 / slow
    bench.keep({"last_s": last, "paced": {"alone": paced_alone, "beside": paced}, "memory_kib_each": each, "tries": tries,
                "cpu": {"gateway": quiet_cpu[0], "slow": quiet_cpu[1]}})
    bench.judge({"memory for each, KiB": each, "slowed at arrival, times": last["arrival"] / last["alone"],
                 "slowed later, times": last["later"] / last["alone"],
                 "slowed when paced, times": paced["took_median_s"] / paced_alone["took_median_s"], "tries": tries}, AIMS)


if __name__ == "__main__":
    main()
