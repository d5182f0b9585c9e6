"""One change among many members reaches a thousand who wait for it: bytes and CPU, by how many members there are.

A gateway (SQLite, WireGuard not managed) whose registry holds 1,000, 10,000 and 50,000 members; a thousand of
them have read everything and wait for news. Then somebody enrols. What it costs must follow from the change and from
how many wait, not from how many members there are.

    bytes      that each of those who wait is sent, HTTP's head with them
    CPU        of the gateway, from the change until all of them have been told, for each of them
"""

import argparse
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lib import bench, crowd, gateway, storm  # noqa: E402

MEMBERS = (1_000, 10_000, 50_000)
POLLERS, ROUNDS = 1_000, 5
AIMS = {"bytes, most / least": 1.1, "CPU, most / least": 1.5}


def told_of_a_change(site, pid, seed):
    """A node enrols while a thousand wait: bytes and milliseconds of CPU for each of those."""
    invite = site.invite()
    with storm.polling(site, nodes=POLLERS, patience=600, limit=600, **storm.position(site)) as client, site.client() as node:
        node.tell("connect")
        before = bench.cpu_s(pid)
        told = node.tell(f"enroll {seed} {invite}")
        assert told["status"] == 200, told
        poll = storm.finish(client)
        cpu_ms = (bench.cpu_s(pid) - before) * 1000
    assert poll["in"] == POLLERS and poll["tries"] == [POLLERS], poll
    return poll["answer_bytes"] / POLLERS, cpu_ms / POLLERS


def costs(members, rounds):
    """The middle of several rounds."""
    with tempfile.TemporaryDirectory(dir=bench.TOP / "build") as folder:
        site = gateway.Site(folder)
        invites = pathlib.Path(folder) / "invites"
        invites.write_text(site.invite("--uses", str(POLLERS)) + "\n", encoding="ascii")
        with bench.serving(site):
            told = storm.run(site, "enroll", nodes=POLLERS, patience=30, invites=invites)
            assert told["in"] == POLLERS, told
        crowd.add_members(site.database, range(members - POLLERS), site.org.prefix)
        with bench.serving(site) as pid:
            found = [told_of_a_change(site, pid, 10**6 + i) for i in range(rounds)]
    return [sorted(column)[len(column) // 2] for column in zip(*found)]


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench feed", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    bench.take_all_descriptors()
    table = {members: costs(members, rounds) for members in MEMBERS}
    print(f"one change, {POLLERS:,} who wait, medians of {rounds}")
    for members, (size, cpu_ms) in table.items():
        print(f"{members:8,} members   {size:7.0f} bytes each   {cpu_ms:.3f} ms of CPU each")
    sizes, times = zip(*table.values())
    bench.keep({str(members): {"bytes": size, "cpu_ms": cpu_ms} for members, (size, cpu_ms) in table.items()})
    bench.judge({"bytes, most / least": max(sizes) / min(sizes), "CPU, most / least": max(times) / min(times)}, AIMS)


if __name__ == "__main__":
    main()
