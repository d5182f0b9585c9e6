"""The agent in its cage: the capabilities and the system calls of a boot, and no way out."""

import functools
import pathlib
import re
import signal
import subprocess

from lib.discovery import ROUTER, World

PROBE = pathlib.Path(__file__).resolve().parents[2] / "build/out/tests/net/confinement-probe"
FORBIDDEN_CALL = 18
LIMIT_S = 60
# Of linux/capability.h.
LINUX_IMMUTABLE, NET_BIND_SERVICE, NET_ADMIN, NET_RAW, SYS_BOOT, SYS_TIME = 9, 10, 12, 13, 22, 25
OF_A_PROBE = {LINUX_IMMUTABLE, NET_BIND_SERVICE, NET_ADMIN, NET_RAW}
OF_A_BOOT = OF_A_PROBE | {SYS_TIME}
WAYS_OUT = ("execve", "fork", "clone3", "ptrace", "mount", "module", "namespace", "bpf", "io_uring", "prctl", "kill",
            "signal-another", "unix-socket", "raw-socket", "all-frames", "audit-socket", "terminal-input",
            "executable-memory", "make-executable", "power-off", "x32")


def try_it(cage, deed, *wrapper):
    return subprocess.run([*wrapper, PROBE, cage, deed], text=True, capture_output=True, stdin=subprocess.DEVNULL,
                          timeout=LIMIT_S, check=False)


def expect_stopped(cage, deed):
    done = try_it(cage, deed)
    assert done.returncode == FORBIDDEN_CALL and not done.stdout, f"{cage}: {deed}: {done}"
    assert re.fullmatch(r"fortros-preboot: forbidden-call \(exit status 18\): the agent made the system call number "
                        r"\d+, which is not on its list\n", done.stderr), f"{deed}: {done.stderr}"


def test_a_boot_finds_no_way_out():
    """Who takes the agent over by a packet could start programs, load modules or look at other processes."""
    for deed in (*WAYS_OUT, "restart"):
        expect_stopped("boot", deed)


def test_a_probe_finds_no_way_out():
    """The same, from somebody's rescue shell."""
    for deed in (*WAYS_OUT, "restart"):
        expect_stopped("probe", deed)


def test_with_on_failure_reboot_the_way_out_is_a_restart():
    """A machine without an attendant would stand still, or could be switched off by who got in."""
    for deed in ("restart", "power-off", "execve"):
        # In a namespace of processes a restart is a SIGHUP for its first one, switching off a SIGINT.
        done = try_it("reboot", deed, "unshare", "--pid", "--fork")
        assert done.returncode == -signal.SIGHUP, f"{deed}: {done}"
        assert ("forbidden-call" in done.stderr) == (deed != "restart"), f"{deed}: {done}"


def test_what_a_boot_does_is_allowed():
    """A list that is too short ends a boot that would have gone well."""
    for deed in ("tcp-socket", "tcp-socket-in-64-bits", "route-socket", "file"):
        done = try_it("boot", deed)
        assert (done.returncode, done.stdout) == (0, "done\n"), f"{deed}: {done}"
    done = try_it("boot", "abort")
    assert done.returncode == -6, f"a failed assertion ends in {done}"


def status_of(process):
    """/proc/PID/status of a program that runs in a namespace."""
    text = pathlib.Path(f"/proc/{process.process.pid}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def capabilities(text):
    return {number for number in range(64) if int(text, 16) >> number & 1}


def expect_caged(process, wanted):
    """What this test has not itself, such as setting the clock, a program of it cannot keep."""
    own = pathlib.Path("/proc/self/status").read_text()
    wanted = wanted & capabilities(re.search(r"CapBnd:\t(.*)", own)[1])
    status = status_of(process)
    assert (status["Name"], status["Seccomp"], status["NoNewPrivs"]) == ("fortros-preboot", "2", "1"), status
    for kind in ("CapPrm", "CapEff"):
        assert capabilities(status[kind]) == wanted, f"{kind}: {status[kind]}"
    for kind in ("CapInh", "CapBnd", "CapAmb"):
        assert not capabilities(status[kind]), f"{kind}: {status[kind]}"


def expect_caged_at_work(world, start, wanted):
    with world.mute_gateway() as gateway:
        process = start()
        connection, _ = gateway.accept()
        with connection:
            expect_caged(process, wanted)
    return process


def test_a_boot_runs_in_its_cage():
    """A fault in what reads the network would be a fault with every right that root has."""
    with World() as world:
        # The cage is looked at while the attempt lasts, which may begin a second late: the cable has just come up.
        boot = functools.partial(world.boot, "Sources=cached", "AttemptTimeout=6s", "[Failure]", "TotalTimeout=6s",
                                 "OnFailure=hold", gateways=[ROUTER])
        process = expect_caged_at_work(world, boot, OF_A_BOOT)
        process.wait_for("OnFailure=hold")
        expect_caged(process, OF_A_BOOT)


def test_a_boot_that_may_reboot_has_one_capability_more():
    """OnFailure=reboot could not reboot, and the machine would stand still."""
    with World() as world:
        boot = functools.partial(world.boot, "Sources=cached", "[Failure]", "OnFailure=reboot", gateways=[ROUTER])
        expect_caged_at_work(world, boot, OF_A_BOOT | {SYS_BOOT}).stop()


def test_a_probe_runs_in_its_cage():
    """The same for who looks why a node does not come up."""
    with World() as world:
        path = world.settings("[Discovery]", "Sources=cached", gateways=[ROUTER])
        start = functools.partial(world.node.start, *world.probe_command(path))
        expect_caged_at_work(world, start, OF_A_PROBE).stop()
