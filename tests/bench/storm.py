"""A whole organisation comes back at once: enrolments, joins, their CPU against a bare TLS server's.

One gateway (SQLite, WireGuard not managed) and one load generator (build/out/tests/bench/storm-client) on the
same processors, real TLS with a full handshake for everybody, in a network namespace of this bench's own.

    enrol      every node enrols for the first time, all at the same moment
    join       the same nodes come back at the same moment; `node list` is asked for meanwhile
    bare       as many handshakes with OpenSSL's own server (openssl s_server), by the same client

CPU is what the server's process has used, user and system, for each node.
"""

import argparse
import contextlib
import json
import os
import pathlib
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests"))

from lib import gateway  # noqa: E402

CLIENT = TOP / "build/out/tests/bench/storm-client"
NODES, INVITES = 10000, 100
PATIENCE_S, LIMIT_S = 5, 180  # as long as the agent waits
BARE_NODES = 2000
BARE_PORT = 8444
TICKS = os.sysconf("SC_CLK_TCK")
AIMS = {"join last": 30, "join tries": 3, "node list": 1, "enrol last": 60, "join CPU / bare": 2}


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0


def storm(site, port, verb, nodes, *more):
    """What the load generator says."""
    done = subprocess.run([CLIENT, f"{gateway.ADDRESS}:{port}", site.org.ca, site.org.gateway_name, verb, str(nodes), "1",
                           str(PATIENCE_S), str(LIMIT_S), *more], stdout=subprocess.PIPE, check=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=LIMIT_S + 60)
    return json.loads(done.stdout)


def measured(pid, call):
    before = cpu_s(pid)
    told = call()
    told["server_cpu_ms"] = (cpu_s(pid) - before) * 1000 / max(1, told["in"])
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


def wait_for_port(port):
    while True:
        with socket.socket() as probe:
            if probe.connect_ex((gateway.ADDRESS, port)) == 0:
                return
        time.sleep(0.05)


@contextlib.contextmanager
def serving(site):
    """Its log goes to a file, as a service's does to the journal."""
    with open(site.folder / "log", "wb") as log:
        server = subprocess.Popen([gateway.PROGRAM, "serve", "--config", site.settings], stdin=subprocess.DEVNULL,
                                  stdout=log, stderr=log)
    try:
        wait_for_port(gateway.PORT)
        yield server.pid
    finally:
        server.kill()
        server.wait()


def bare(site, nodes):
    server = subprocess.Popen(["openssl", "s_server", "-accept", f"{gateway.ADDRESS}:{BARE_PORT}", "-cert",
                               site.home / "gateway.pem", "-cert_chain", site.home / "gateway.pem", "-key",
                               site.home / "gateway.key", "-tls1_3", "-num_tickets", "0", "-quiet", "-no_cache",
                               "-naccept", str(nodes + 1)],
                              stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(BARE_PORT)
        # One after the other, which is all that this server can.
        return measured(server.pid, lambda: storm(site, BARE_PORT, "handshake", nodes))
    finally:
        server.kill()
        server.wait()


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench storm", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=NODES)
    nodes = parser.parse_args().nodes
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    # On a disk, where what is acknowledged has to be.
    with tempfile.TemporaryDirectory(dir=TOP / "build") as folder:
        site = gateway.Site(folder)
        invites = [site.invite("--uses", str(-(-nodes // INVITES))) for _ in range(INVITES)]
        file = pathlib.Path(folder) / "invites"
        file.write_text("\n".join(invites) + "\n", encoding="ascii")
        with serving(site) as pid:
            enrol = measured(pid, lambda: storm(site, gateway.PORT, "enroll", nodes, file))
            asker = Asker(site)
            asker.start()
            join = measured(pid, lambda: storm(site, gateway.PORT, "join", nodes))
            asker.enough.set()
            asker.join()
            peak = rss_mib(pid)
        handshake = bare(site, min(nodes, BARE_NODES))

    for name, told in (("enrol", enrol), ("join", join), ("bare", handshake)):
        print(f"{name:6} in {told['in']:6}  median {told['median_s']:6.1f} s  last {told['last_s']:6.1f} s  tries "
              f"{told['tries']}  server CPU {told['server_cpu_ms']:.2f} ms each  {told['sent_away']} sent away, "
              f"{told['too_slow']} too slow, {told['broken']} broken, {told['not_in']} never in")
    result = {"nodes": nodes, "enrol": enrol, "join": join, "bare": handshake, "peak_rss_mib": peak,
              "node_list_s": max(asker.times, default=None)}
    got = {"join last": join["last_s"], "join tries": join["most_tries"], "node list": result["node_list_s"],
           "enrol last": enrol["last_s"], "join CPU / bare": join["server_cpu_ms"] / handshake["server_cpu_ms"]}
    for name, aim in AIMS.items():
        print(f"{name:16} {got[name]:6.2f}   aim {aim}   {'met' if got[name] <= aim else 'MISSED'}")
    print(f"peak memory {peak:.0f} MiB")
    if "FORTROS_RESULT" in os.environ:
        pathlib.Path(os.environ["FORTROS_RESULT"]).write_text(json.dumps(result, indent=2) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
