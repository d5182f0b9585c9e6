"""What the benches share: a gateway that logs to a file, its CPU and memory, and the place of the result."""

import contextlib
import json
import os
import pathlib
import resource
import socket
import subprocess
import sys
import time

from lib import gateway

TOP = pathlib.Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid):
    """User and system, of all its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mib(pid, which="VmRSS"):
    """VmRSS: now, VmHWM: the most so far."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{which}:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"no {which} of {pid}")


def take_all_descriptors():
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def wait_for_port(port):
    while True:
        with socket.socket() as probe:
            if probe.connect_ex((gateway.ADDRESS, port)) == 0:
                return
        time.sleep(0.05)


@contextlib.contextmanager
def serving(site):
    """A gateway's process id. Its log goes to a file, as a service's does to the journal."""
    with open(site.folder / "log", "wb") as log:
        server = subprocess.Popen([gateway.PROGRAM, "serve", "--config", site.settings], stdin=subprocess.DEVNULL,
                                  stdout=log, stderr=log)
    try:
        wait_for_port(site.port)
        yield server.pid
    finally:
        server.kill()
        server.wait()


def judge(got, aims):
    """Prints each figure beside its aim, all of them upper bounds; ends the bench with status 1 where one was missed."""
    for name, aim in aims.items():
        print(f"{name:28} {got[name]:8.2f}   aim {aim}   {'met' if got[name] <= aim else 'MISSED'}")
    missed = [name for name, aim in aims.items() if not got[name] <= aim]
    if missed:
        sys.exit("bench: missed: " + ", ".join(missed))


def keep(result):
    """For programs; scripts/bench says where."""
    if "FORTROS_RESULT" in os.environ:
        pathlib.Path(os.environ["FORTROS_RESULT"]).write_text(json.dumps(result, indent=2) + "\n", encoding="ascii")
