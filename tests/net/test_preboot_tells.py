"""The commands of fortros-preboot that only tell: report, explain, check-config, by the program itself."""

import json
import os
import pathlib
import subprocess
import tempfile
import xml.etree.ElementTree

import jsonschema

from lib.discovery import PREBOOT, World
from lib.once import once
from lib.org import Org

TIME_LIMIT_S = 240
TOP = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = json.loads((TOP / "agent/protocol/events.schema.json").read_text(encoding="utf-8"))
GATEWAY, DEAD, PUBLIC = "203.0.113.5", "203.0.113.66", "9.9.9.9"
NO_GATEWAY, CA_INVALID, KEY_STORE, REFUSED = 7, 4, 12, 9


def tell(*words, **environment):
    return subprocess.run([PREBOOT, *map(str, words)], text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=30,
                          check=False, env={"PATH": os.environ["PATH"], **environment})


@once
def refused_boot():
    """The events of a boot by way of a dead cached address, which the gateway refuses; a copy of the file."""
    with World() as world:
        world.gateway(GATEWAY)
        world.resolver(PUBLIC, GATEWAY)
        boot = world.boot(f"PublicResolvers={PUBLIC}", "[Failure]", "TotalTimeout=6s", gateways=[DEAD])
        assert boot.process.wait(60) == REFUSED
        copy = pathlib.Path(tempfile.mkdtemp()) / "events.jsonl"
        copy.write_text((world.net.folder / "run/events.jsonl").read_text())
        return copy


def test_the_events_are_as_the_schema_says():
    """Somebody's dashboard reads them by it."""
    events = [json.loads(line) for line in refused_boot().read_text().splitlines()]
    for event in events:
        jsonschema.validate(event, SCHEMA)
    names = {event["event"] for event in events}
    assert {"started", "stage", "link-usable", "round", "lookup", "lookup-answered", "attempt", "attempt-connected",
            "attempt-authenticated", "gave-up", "finished"} <= names, names


def test_what_is_for_programs_is_not_on_the_console():
    """The nine stages drown in lines that nobody can read."""
    with World() as world:
        world.gateway(GATEWAY)
        world.resolver(PUBLIC, GATEWAY)
        boot = world.boot(f"PublicResolvers={PUBLIC}", "[Failure]", "TotalTimeout=6s")
        boot.process.wait(60)
        assert all(line.removeprefix("fortros-preboot: ") for line in boot.lines), boot.lines


def test_a_boot_is_drawn():
    """Who waits for a slow boot does not see for what."""
    done = tell("report", "--events", refused_boot())
    assert done.returncode == 0, done.stderr
    for part in ("stages", f"public-dns {PUBLIC}", f"cached {DEAD}:443", f"public-dns {GATEWAY}:443",
                 "invite-invalid", "refused (exit status 9)"):
        assert part in done.stdout, (part, done.stdout)
    assert done.stdout.isascii() and "\x1b" not in done.stdout
    assert "█" in tell("report", "--events", refused_boot(), LC_ALL="C.UTF-8").stdout


def test_a_boot_is_a_picture():
    """The picture that somebody sends to somebody else does not open."""
    output = pathlib.Path(tempfile.mkdtemp()) / "boot.svg"
    done = tell("report", "--events", refused_boot(), "--svg", output)
    assert done.returncode == 0 and not done.stdout, done
    picture = xml.etree.ElementTree.parse(output).getroot()
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert f"public-dns {GATEWAY}:443" in output.read_text()
    assert tell("report", "--events", refused_boot(), "--svg", "-").stdout == output.read_text()


def test_without_events_it_says_so():
    """An empty drawing would look like a boot without stages."""
    done = tell("report", "--events", "/nowhere")
    assert done.returncode == 1 and "/nowhere" in done.stderr
    done = tell("report", "--events", "/dev/null")
    assert done.returncode == 1 and "no boot" in done.stderr


def test_a_status_is_explained():
    """The number on a console leads nowhere."""
    by_number, by_name = tell("explain", "8"), tell("explain", "gateway-untrusted")
    assert by_number.returncode == 0 and by_number.stdout == by_name.stdout
    assert by_number.stdout.startswith("8 gateway-untrusted\n  what  ") and "\n  do    " in by_number.stdout
    assert tell("explain").stdout.count("\n  what  ") == 19
    assert tell("explain", "99").returncode == 2


# --- check-config ---------------------------------------------------------------------------------

class Image:
    """The three files of an image, sound."""

    def __init__(self, lines=""):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="image-"))
        self.org = Org.make(self.folder / "org")
        self.invite = self.folder / "invite"
        self.invite.write_text("an-invite-that-nobody-gave\n")
        self.invite.chmod(0o600)
        self.conf = self.folder / "preboot.conf"
        self.conf.write_text(f"[Organisation]\nGatewayName={self.org.gateway_name}\nCA={self.org.ca}\n"
                             f"Invite={self.invite}\n{lines}")

    def check(self):
        return tell("check-config", self.conf)


def test_a_sound_image_is_good():
    """A checker that always complains is switched off."""
    done = Image().check()
    assert done.returncode == 0 and "good\n" in done.stdout, done
    assert "error" not in done.stdout and "warning" not in done.stdout, done.stdout


def test_an_invite_that_others_read_is_told_of():
    """Every user of the build machine could enrol a machine of his own."""
    image = Image()
    image.invite.chmod(0o644)
    done = image.check()
    assert done.returncode == 0 and "warning: the invite in" in done.stdout and "chmod 600" in done.stdout, done.stdout
    image.invite.unlink()
    done = image.check()
    assert done.returncode == 0 and "there is no invite" in done.stdout, done.stdout


def test_a_store_that_others_write_is_refused():
    """Who can replace the key replaces the node."""
    done = Image("[Node]\nKeyStore=file:/mnt/nowhere/key\n").check()
    assert done.returncode == 0 and "its folder is not here" in done.stdout, done
    # Everybody's, wherever the tests run.
    done = Image("[Node]\nKeyStore=file:/var/tmp/key\n").check()
    assert done.returncode == KEY_STORE and "or others may write there" in done.stdout, done
    done = Image("[Node]\nKeyStore=file:/run/key\n").check()
    assert done.returncode == KEY_STORE and "does not last" in done.stdout, done


def test_sources_that_can_never_work_are_refused():
    """The image is rolled out before anybody sees that it finds nobody."""
    done = Image("[Discovery]\nSources=cached\n").check()
    assert done.returncode == NO_GATEWAY and "error:   [Discovery] Sources=cached" in done.stdout, done
    assert "a boot with this must fail" in done.stdout


def test_a_ca_that_has_ended_is_refused():
    """No node would trust any gateway."""
    image = Image()
    subprocess.run(["openssl", "x509", "-in", image.org.ca, "-signkey", image.org.ca_key, "-not_before", "20200101000000Z",
                    "-not_after", "20210101000000Z", "-out", image.folder / "old.pem", "-copy_extensions", "copyall"],
                   check=True, capture_output=True)
    image.conf.write_text(image.conf.read_text().replace(str(image.org.ca), str(image.folder / "old.pem")))
    done = image.check()
    assert done.returncode == CA_INVALID and "ended on 2021-01-01" in done.stdout, done
