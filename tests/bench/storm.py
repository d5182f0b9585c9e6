"""A whole organisation comes back at once: enrolments, joins, their CPU against a bare TLS server's.

One gateway (SQLite, WireGuard not managed) and one load generator (build/out/tests/bench/storm-client) on the
same processors, real TLS with a full handshake for everybody, in a network namespace of this bench's own.

    enrol      every node enrols for the first time, all at the same moment
    join       the same nodes come back at the same moment; `node list` is asked for meanwhile
    poll       all of them wait for news of the members: what the gateway's memory is then
    nat        300 of them behind one address come back beside 50 elsewhere
    bare       as many handshakes with OpenSSL's own server (openssl s_server), by the same client

CPU is what the server's process has used, user and system, for each node.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lib import bench, gateway, storm  # noqa: E402

NODES, INVITES = 10000, 100
OFFICE, ELSEWHERE = 300, 50
PATIENCE_S, LIMIT_S = 5, 180  # as long as the agent waits
BARE_NODES = 2000
BARE_PORT = 8444
AIMS = {"join: last in, s": 30, "join: tries": 3, "node list, s": 1, "enrol: last in, s": 60, "join CPU / bare": 2,
        "memory while all wait, MiB": 300, "nat: tries": 3, "never in": 0}


def told_of(pid, call):
    before = bench.cpu_s(pid)
    told = call()
    told["server_cpu_ms"] = (bench.cpu_s(pid) - before) * 1000 / max(1, told["in"])
    return told


class Asker(threading.Thread):
    """Asks for the list of nodes, again and again; how long each answer took."""

    def __init__(self, site):
        super().__init__(daemon=True)
        self.site, self.times, self.enough = site, [], threading.Event()

    def run(self):
        while not self.enough.wait(0.5):
            began = time.monotonic()
            self.site.admin("node", "list")
            self.times.append(time.monotonic() - began)


def bare(site, nodes):
    server = subprocess.Popen(["openssl", "s_server", "-accept", f"{gateway.ADDRESS}:{BARE_PORT}", "-cert",
                               site.home / "gateway.pem", "-cert_chain", site.home / "gateway.pem", "-key",
                               site.home / "gateway.key", "-tls1_3", "-num_tickets", "0", "-quiet", "-no_cache",
                               "-naccept", str(nodes + 1)],
                              stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        bench.wait_for_port(BARE_PORT)
        # One after the other, which is all that this server can.
        return told_of(server.pid, lambda: storm.run(site, "handshake", port=BARE_PORT, nodes=nodes, limit=LIMIT_S))
    finally:
        server.kill()
        server.wait()


def polls(site, pid, nodes):
    """The gateway's memory while all of them wait."""
    with storm.polling(site, nodes=nodes, patience=LIMIT_S, limit=LIMIT_S, **storm.position(site)) as client:
        memory = bench.memory_mib(pid)
        assert client.poll() is None, "the polls were answered: nobody waits"
    return memory


def show(name, told):
    cpu = f"server CPU {told['server_cpu_ms']:.2f} ms each  " if "server_cpu_ms" in told else ""
    print(f"{name:6} in {told['in']:6}  median {told['median_s']:6.2f} s  last {told['last_s']:6.2f} s  tries "
          f"{told['tries']}  {cpu}{told['sent_away']} sent away, {told['too_slow']} too slow, "
          f"{told['broken']} broken, {told['refused']} refused, {told['not_in']} never in", flush=True)


def nat(site):
    """An office behind one address beside as many addresses as nodes."""
    office = storm.start(site, "join", nodes=OFFICE, per_address=10**6, patience=PATIENCE_S)
    elsewhere = storm.start(site, "join", first=OFFICE + 1, nodes=ELSEWHERE, per_address=1, patience=PATIENCE_S)
    return storm.finish(office), storm.finish(elsewhere)


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench storm", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=NODES)
    nodes = parser.parse_args().nodes
    bench.take_all_descriptors()

    # On a disk, where what is acknowledged has to be.
    with tempfile.TemporaryDirectory(dir=bench.TOP / "build") as folder:
        site = gateway.Site(folder)
        invites = [site.invite("--uses", str(-(-nodes // INVITES))) for _ in range(INVITES)]
        file = pathlib.Path(folder) / "invites"
        file.write_text("\n".join(invites) + "\n", encoding="ascii")
        everybody = {"nodes": nodes, "patience": PATIENCE_S, "limit": LIMIT_S}
        with bench.serving(site) as pid:
            enrol = told_of(pid, lambda: storm.run(site, "enroll", invites=file, **everybody))
            show("enrol", enrol)
            asker = Asker(site)
            asker.start()
            join = told_of(pid, lambda: storm.run(site, "join", **everybody))
            asker.enough.set()
            asker.join()
            show("join", join)
            peak = bench.memory_mib(pid, "VmHWM")
            waiting = polls(site, pid, nodes)
            office, elsewhere = nat(site)
            show("office", office)
            show("others", elsewhere)
        handshake = bare(site, min(nodes, BARE_NODES))
        show("bare", handshake)

    rows = {"enrol": enrol, "join": join, "office": office, "others": elsewhere, "bare": handshake}
    got = {"join: last in, s": join["last_s"], "join: tries": join["most_tries"],
           "node list, s": max(asker.times, default=0), "enrol: last in, s": enrol["last_s"],
           "join CPU / bare": join["server_cpu_ms"] / handshake["server_cpu_ms"],
           "memory while all wait, MiB": waiting, "nat: tries": max(office["most_tries"], elsewhere["most_tries"]),
           "never in": sum(told["not_in"] for told in rows.values())}
    print(f"peak memory {peak:.0f} MiB")
    bench.keep({"nodes": nodes, **rows, "peak_rss_mib": peak, "waiting_rss_mib": waiting, "node_list_s": asker.times})
    bench.judge(got, AIMS)


if __name__ == "__main__":
    main()
