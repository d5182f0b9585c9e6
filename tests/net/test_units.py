"""The systemd units: that systemd understands them, how much they let a fault do, and that what they
leave a program is enough for it."""

import json
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile

from lib.gateway import PROGRAM, Site
from lib.netns import Net

AGENT = pathlib.Path(__file__).resolve().parents[2] / "agent"
GATEWAY = AGENT / "gateway/fortros-gateway.service"
SOCKETS = [AGENT / f"gateway/{name}.socket" for name in ("fortros-gateway", "fortros-gateway-operate")]
MAINTAINER = AGENT / "maintainer/fortros-maintainer.service"
VARIABLES = AGENT / "maintainer/fortros-variables.service"
# What is left is what they are for: the host's network, sockets, CAP_NET_ADMIN, a user of their own
# that the host has (1 for each tenth); the maintainer is root, whose hand-off it reads.
WORST = {GATEWAY: 1.6, MAINTAINER: 1.8}


def analyze(*words):
    done = subprocess.run(["systemd-analyze", *map(str, words)], text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=60, check=False)
    print(done.stdout, done.stderr)
    return done


def test_units_are_understood():
    """A misspelt line is ignored by systemd, and with it what it was to forbid."""
    with tempfile.TemporaryDirectory() as folder:
        units = (GATEWAY, *SOCKETS, MAINTAINER, VARIABLES)
        for unit in units:
            # The programs are not where the units expect them, as long as nothing is installed.
            copy = pathlib.Path(folder) / unit.name
            copy.write_text(re.sub(r"/usr/bin/fortros-\w+", shutil.which("true"), unit.read_text()))
        for unit in units:
            copy = pathlib.Path(folder) / unit.name
            done = analyze("verify", "--man=no", "--recursive-errors=no", copy)
            ours = [line for line in done.stderr.splitlines() if unit.name in line]
            assert not ours, f"{unit.name}: {ours}"


def test_units_leave_little_to_a_fault():
    """Who takes over what faces the network would have the whole host."""
    for unit, worst in WORST.items():
        done = analyze("security", "--offline=true", "--no-pager", unit)
        exposure = float(re.search(r"Overall exposure level for .*: ([\d.]+)", done.stdout)[1])
        assert exposure <= worst, f"{unit.name}: {exposure}"


def test_a_gateway_needs_no_more_than_its_unit_gives():
    """The unit would not start, or its administrator could not work beside it."""
    with Net() as net:
        host = net.namespace("host")
        site = Site(net.folder)
        # As StateDirectory= and the unit's copies leave them: the files are the dynamic user's.
        user, capabilities = "65533", "+net_admin"
        for path in (net.folder, *net.folder.rglob("*")):
            shutil.chown(path, int(user), int(user))
        server = host.start("systemd-socket-activate", "--listen=127.0.0.1:443", "--fdname=nodes",
                            "setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs",
                            f"--inh-caps=-all,{capabilities}", f"--ambient-caps=-all,{capabilities}",
                            f"--bounding-set=-all,{capabilities}", PROGRAM, "serve", "--config", site.settings,
                            ready="Listening on")
        with host.socket(socket.AF_INET, socket.SOCK_STREAM) as first:  # what it is started for
            first.connect(("127.0.0.1", 443))
            assert "serves on 127.0.0.1:443," in server.wait_for("event=serving")
        status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
        assert re.search(r"^CapEff:\t0000000000001000$", status, re.M), status
        # Root's commands leave the server its database.
        for _ in range(2):
            site.invite()
        assert len(json.loads(site.admin("invite", "list", "--json"))) == 2
        owners = {path.name: path.stat().st_uid for path in site.database.parent.iterdir()}
        assert set(owners.values()) == {int(user)}, owners
