"""The gateway's units under systemd itself, on a kernel with WireGuard.

One guest. systemd is the first process of a PID namespace in it, and starts nothing but the units:

    operators ── 127.0.0.1:9543 ──┐ systemd's sockets
    nodes ──────── [::]:443 ──────┴──▶ fortros-gateway.service ── fortros0
"""

import atexit
import json
import pathlib
import re
import tempfile

from lib import sysroot
from lib.gateway import CLIENT, PROGRAM, Site
from lib.guest import Guest
from lib.guest_gateway import HOME, client_of, files_of
from lib.once import once
from lib.org import certs

TIME_LIMIT_S = 300
TAKES_S = 40
AGENT = pathlib.Path(__file__).resolve().parents[2] / "agent"
UNITS = ["fortros-gateway.service", "fortros-gateway.socket", "fortros-gateway-operate.socket"]
SYSTEMD = pathlib.Path("/usr/lib/systemd")
SETTINGS = "[WireGuard]\nEndpoints=192.0.2.1:51820\n"
COPIES = "/run/fortros-gateway"
# The guest has its libraries where the loader looks, and not in /usr alone.
DROP_IN = "[Service]\nExecPaths=/lib\n"
ASK = "/bin/busybox wget -q -O- http://127.0.0.1:9543"
SHOW = "manage show -P {} fortros-gateway.service"


class Play:
    """The machine, and what it was seen to do."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="systemd."))
        self.site = Site(self.folder)
        files = files_of(self.site, settings=SETTINGS)
        files |= {f"/etc/systemd/system/{unit}": AGENT / "gateway" / unit for unit in UNITS}
        files["/etc/systemd/system/fortros-gateway.service.d/guest.conf"] = DROP_IN
        files["/etc/machine-id"] = "0123456789abcdef0123456789abcdef\n"
        files["/etc/os-release"] = "ID=guest\n"
        files["/usr/bin/fortros-gateway"] = (PROGRAM, 0o755)
        for target in SYSTEMD.glob("system/*.target"):
            files[str(target)] = target.resolve()
        for name in ("systemd", "systemd-executor"):
            files[str(SYSTEMD / name)] = (SYSTEMD / name, 0o755)
            for library in sysroot.libraries_of(SYSTEMD / name):
                files[str(library)] = (library.resolve(), 0o755)
        self.guest = Guest(programs=["systemctl", PROGRAM, CLIENT], files=files, modules=["wireguard", "nf_tables"],
                           memory_mib=512)
        atexit.register(self.guest.stop)
        self.guest.__enter__()
        self.facts = {}

    def run(self, command, **options):
        done = self.guest.run(command, **options)
        return done.stdout if options.get("check", True) else done

    def start_systemd(self):
        # Nothing of the machine itself is its business: it is told that it is in a container.
        self.run("""
            mkdir -p /sys/fs/cgroup /var/lib && mount -t cgroup2 cgroup2 /sys/fs/cgroup
            container=guest unshare --fork --pid --mount-proc /usr/lib/systemd/systemd --system --unit=basic.target \
                --log-target=console --show-status=no >/run/systemd.log 2>&1 &
        """)
        self.guest.wait_until("[ -S /run/systemd/private ]", timeout_s=60)
        # It hears only whom it can see.
        self.guest.put("/bin/manage", '#!/bin/sh\nexec nsenter -t $(pidof systemd) -m -p /bin/systemctl "$@"\n', 0o755)
        self.guest.wait_until("manage is-active --quiet basic.target", timeout_s=60)

    def ask(self, path):
        return self.run(f"{ASK}{path}")

    def metrics(self):
        lines = (line.rsplit(" ", 1) for line in self.ask("/metrics").splitlines() if not line.startswith("#"))
        return {name: int(value) for name, value in lines}

    def show(self, what):
        return self.run(SHOW.format(what)).strip()

    def wait_for(self, what, value):
        """A counter of the metrics has this value, or a later one."""
        self.guest.wait_until(f"[ $({ASK}/metrics | sed -n 's/^fortros_gateway_{what} //p') -ge {value} ]",
                              timeout_s=60)

    def tell(self, line):
        return json.loads(self.run(f"echo '{line}' | {client_of(self.site)}"))


@once
def told():
    play = Play()
    try:
        tell(play)
    except BaseException:
        print(play.run("cat /run/systemd.log; manage status 'fortros*'", check=False).stdout)
        raise
    return play


def tell(play):
    facts = play.facts
    play.start_systemd()
    play.run("manage start fortros-gateway.socket fortros-gateway-operate.socket")
    facts["before the first"] = play.show("ActiveState")
    facts["ready"] = play.ask("/readyz")
    facts["then"] = play.show("ActiveState")
    pid = play.show("MainPID")
    facts["status"] = play.run(f"cat /proc/$(pidof fortros-gateway | tr ' ' '\\n' | head -n 1)/status")
    facts["copies"] = play.run(f"cd {COPIES}/ && stat -c '%n %a %u' *")
    facts["says"] = play.show("StatusText")
    invite = play.run("fortros-gateway invite create 2>/dev/null").strip()
    facts["enrolled"] = play.tell(f"enroll 1 {invite}")
    facts["peers"] = play.metrics()["fortros_gateway_wireguard_peers"]

    expiry = f'fortros_gateway_certificate_expiry_timestamp_seconds{{file="{COPIES}/gateway.pem"}}'
    facts["expiry before"] = play.metrics()[expiry]
    certs("renew-gateway", play.site.org.folder, play.site.home, "--days", "20")
    play.guest.put(f"{HOME}/gateway.pem", play.site.gateway.certificate.read_bytes(), 0o600)
    play.run("manage reload fortros-gateway.service")
    play.wait_for("reloads_total", 1)
    facts["reloaded"] = play.metrics()
    facts["expiry after"] = facts["reloaded"][expiry]

    play.guest.put(f"{HOME}/gateway.pem", "garbage", 0o600)
    facts["bad reload"] = play.run("manage reload fortros-gateway.service", check=False)
    facts["after the bad reload"] = play.metrics()
    facts["joined"] = play.tell("join 1")
    facts["the same process"] = play.show("MainPID") == pid
    play.guest.put(f"{HOME}/gateway.pem", play.site.gateway.certificate.read_bytes(), 0o600)

    # Whoever comes while it is down waits at systemd's sockets, and starts it.
    play.run("manage stop fortros-gateway.service")
    facts["stopped"] = play.show("Result"), play.show("ActiveState")
    facts["joined after a stop"] = play.tell("join 1")


def test_the_first_who_asks_starts_it():
    """Its sockets would be open, and nobody behind them."""
    facts = told().facts
    assert (facts["before the first"], facts["then"]) == ("inactive", "active")
    assert facts["ready"].splitlines() == [f"{name}: ok" for name in ("serving", "registry", "tunnels", "relay", "certificates")]
    assert facts["says"] == "serves on [::]:443, for operators on 127.0.0.1:9543"


def test_it_is_a_user_of_its_own_with_one_capability():
    """Who takes it over would be root."""
    status = told().facts["status"]
    assert re.search(r"^CapEff:\t0000000000001000$", status, re.M) and "Seccomp:\t2" in status, status
    user = re.search(r"^Uid:\t(\d+)", status, re.M)[1]
    assert int(user) >= 61184, "a dynamic user"
    copies = dict(line.split(" ", 1) for line in told().facts["copies"].splitlines())
    assert copies == {name: f"600 {user}" for name in ("gateway.conf", "org.conf", "ca.pem", "gateway.pem", "gateway.key",
                                                       "signer.pem", "signer.key", "wireguard.key")}, copies


def test_nodes_enrol_and_get_a_tunnel():
    """The unit would keep from it what it is for."""
    facts = told().facts
    assert facts["enrolled"]["status"] == 200 and facts["peers"] == 1, facts


def test_a_reload_takes_up_a_renewed_certificate():
    """It would expire in spite of its renewal, for the gateway has copies."""
    facts = told().facts
    assert facts["reloaded"]["fortros_gateway_last_reload_successful"] == 1
    assert facts["expiry after"] < facts["expiry before"], "of 20 days and no more"


def test_a_reload_of_what_does_not_fit_fails_and_changes_nothing():
    """An administrator's slip would stop it, or go unnoticed."""
    facts = told().facts
    assert facts["bad reload"].status != 0, facts["bad reload"]
    assert facts["after the bad reload"]["fortros_gateway_reloads_total"] == 1
    assert facts["joined"]["status"] == 200 and facts["the same process"]


def test_nobody_is_refused_while_it_is_down():
    """A restart would send every node away that comes in its midst."""
    facts = told().facts
    assert facts["stopped"] == ("success", "inactive")
    assert facts["joined after a stop"]["status"] == 200
