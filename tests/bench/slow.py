"""Five thousand clients that are slow or silent: what they cost the gateway, and the nodes that come meanwhile.

A quarter each: a connection without a word, the first bytes of a handshake, a request of a byte a second, a body of a
byte a second (build/out/tests/bench/slow-crowd); whoever is thrown out comes again. Two thousand known nodes join at
once, alone and beside them, in turns.

    memory     that the gateway has more with them, for each of them
    slowed     the time until the last node is in, beside them over alone, medians
"""

import argparse
import contextlib
import pathlib
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lib import bench, gateway, storm  # noqa: E402

CROWD = gateway.OUT / "tests/bench/slow-crowd"
SLOW, NODES, ROUNDS = 5000, 2000, 5
AIMS = {"memory for each, KiB": 32, "slowed, times": 4 / 3, "tries": 1}


@contextlib.contextmanager
def slow_clients(site, count):
    """All of them have come once."""
    crowd = subprocess.Popen([CROWD, f"{gateway.ADDRESS}:{site.port}", site.org.gateway_name, str(count)],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        assert crowd.stdout.readline() == "ready\n"
        yield
    finally:
        crowd.terminate()
        out, _ = crowd.communicate(timeout=60)
        print(f"{count} slow clients were thrown out {out.strip()} times", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench slow", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    bench.take_all_descriptors()
    alone, beside = [], []
    with tempfile.TemporaryDirectory(dir=bench.TOP / "build") as folder:
        site = gateway.Site(folder)
        invites = pathlib.Path(folder) / "invites"
        invites.write_text(site.invite("--uses", str(NODES)) + "\n", encoding="ascii")
        with bench.serving(site) as pid:
            told = storm.run(site, "enroll", nodes=NODES, patience=30, invites=invites)
            assert told["in"] == NODES, told
            before = bench.memory_mib(pid)
            for _ in range(rounds):
                alone.append(storm.run(site, "join", nodes=NODES))
                with slow_clients(site, SLOW):
                    beside.append(storm.run(site, "join", nodes=NODES))
                    memory = bench.memory_mib(pid)
    last = [statistics.median(told["last_s"] for told in row) for row in (alone, beside)]
    tries = max(told["most_tries"] for told in alone + beside)
    print(f"{NODES} joins: last in after {last[0]:.2f} s alone, {last[1]:.2f} s beside {SLOW} slow ones")
    each = (memory - before) * 1024 / SLOW
    bench.judge({"memory for each, KiB": each, "slowed, times": last[1] / last[0], "tries": tries}, AIMS)
    bench.keep({"alone_s": last[0], "beside_s": last[1], "memory_kib_each": each, "tries": tries})


if __name__ == "__main__":
    main()
