"""What is left of secrets in the memory of the programs that handle them, read as root reads it."""

import contextlib
import os
import pathlib
import re
import resource
import signal
import subprocess
import time

from lib import leaks
from lib.discovery import PREBOOT, ROUTER, World
from lib.discovery import GATEWAY as GATEWAY_PROGRAM
from lib.gateway import OUT

GATEWAY = "203.0.113.5"
LIMIT_S = 60
MAINTAINER = OUT / "agent/maintainer/fortros-maintainer"


def node_secrets(world, invite):
    """Of a boot with KeyStore=file:."""
    record = (world.net.folder / "key").read_bytes()
    return [leaks.second_half("key", record[8:40]), leaks.second_half("invite", invite)]


def boot(world, invite, *lines, others=()):
    return world.boot("Sources=cached", *lines, gateways=[GATEWAY, *others], invite=invite)


def test_the_search_finds_what_is_there():
    """All of the below would be true of a search that sees nothing."""
    with World() as world:
        mark = "a-mark-that-is-put-into-the-memory"
        process = world.node.start("sh", "-c", f"it={mark}; echo ready; read line; echo $it", ready="ready")
        found = leaks.in_memory(process.process.pid, [leaks.Secret("mark", mark)])
        assert found["mark", "raw"] >= 1, found


def test_between_two_requests_a_node_holds_its_secrets_once():
    """Each copy that nobody needs is one more that a fault may give away."""
    with World() as world, world.mute_gateway() as mute:
        world.gateway(GATEWAY)
        invite = "fortros-invite-v1-" + "NobodyHasEverGivenThisInvite_000"
        process = boot(world, invite, "AttemptTimeout=1min", others=[ROUTER])
        mute.accept()
        process.wait_for("invite-invalid", LIMIT_S)
        found = leaks.in_memory(process.process.pid, node_secrets(world, invite))
        assert found == {("key", "raw"): 1, ("invite", "raw"): 1}, found


def test_what_every_user_can_see_of_running_programs_holds_no_secret():
    """ps shows arguments and environments to whoever looks while a boot waits for its gateway."""
    with World() as world, world.mute_gateway() as mute:
        site = world.gateway(GATEWAY)
        invite = "fortros-invite-v1-" + "NobodyHasEverGivenThisInvite_000"
        process = boot(world, invite, "AttemptTimeout=1min", others=[ROUTER])
        mute.accept()
        process.wait_for("invite-invalid", LIMIT_S)
        key = (world.net.folder / "key").read_bytes()[8:40]
        programs = {"agent": process.process.pid, "gateway": site.server.process.pid}
        places = {f"{name} of the {program}": pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
                  for program, pid in programs.items() for name in ("cmdline", "environ")}
        assert b"preboot.conf" in places["cmdline of the agent"] and b"gateway.conf" in places["cmdline of the gateway"]
        assert all(b"PATH=" in content for place, content in places.items() if place.startswith("environ"))
        leaks.expect_none(places, [leaks.Secret("key", key), leaks.Secret("invite", invite.removeprefix("fortros-invite-v1-"))])


def test_a_boot_that_has_ended_holds_no_secret():
    """OnFailure=hold keeps the agent for hours, with whoever comes by."""
    with World() as world:
        site = world.gateway(GATEWAY)
        invite = site.invite()
        process = boot(world, invite, "[Failure]", "OnFailure=hold")
        process.wait_for("OnFailure=hold", LIMIT_S)
        assert site.json("node", "list"), "the node has not enrolled"
        found = leaks.in_memory(process.process.pid, node_secrets(world, invite))
        assert not found, found


def test_a_gateway_holds_no_invite():
    """Who reads the gateway's memory later could let himself in with an invite of many uses."""
    with World() as world:
        site = world.gateway(GATEWAY)
        invite = site.invite("--uses", "5")
        process = boot(world, invite, "[Failure]", "OnFailure=hold")
        process.wait_for("OnFailure=hold", LIMIT_S)
        assert site.json("node", "list"), "the node has not enrolled"
        found = leaks.in_memory(site.server.process.pid, [leaks.second_half("invite", invite)])
        assert not found, found


# --- core dumps ------------------------------------------------------------------------------------

def full_pipe():
    """Who writes to it waits."""
    _, write = os.pipe()
    os.set_blocking(write, False)
    for size in (65536, 1):
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(write, bytes(size))
    os.set_blocking(write, True)
    return write


def allow_core_dumps():
    with contextlib.suppress(ValueError, PermissionError):
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def core_limits(pid):
    """Soft and hard."""
    return re.search(r"^Max core file size +(\S+) +(\S+)", pathlib.Path(f"/proc/{pid}/limits").read_text(), re.MULTILINE).groups()


def held(folder, *words):
    """A program that waits for somebody to read what it says."""
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=full_pipe(), stderr=subprocess.DEVNULL, cwd=folder,
                            preexec_fn=allow_core_dumps)


def test_no_program_leaves_a_core_dump():
    """What a fault writes to the disk is kept for weeks, with the key or the invite in it."""
    with World() as world:
        site = world.gateway(GATEWAY)
        folder = world.net.folder / "cores"
        folder.mkdir()
        control = held(folder, "yes")
        assert core_limits(control.pid)[0] != "0", "the test's own limits forbid core dumps already"
        control.kill()
        control.wait()
        for words in ([PREBOOT, "--version"], [MAINTAINER, "--version"],
                      [GATEWAY_PROGRAM, "invite", "create", "--config", site.settings]):
            process = held(folder, *words)
            deadline = time.monotonic() + LIMIT_S
            while core_limits(process.pid) != ("0", "0"):
                assert time.monotonic() < deadline, f"{words}: {core_limits(process.pid)}"
                time.sleep(0.01)
            process.send_signal(signal.SIGABRT)
            _, status = os.waitpid(process.pid, 0)
            assert os.WIFSIGNALED(status) and not os.WCOREDUMP(status), (words, status)
        assert not list(folder.iterdir())
        assert core_limits(site.server.process.pid) == ("0", "0")
