"""fortros-gateway init: from an empty folder to a gateway that serves."""

import os
import pathlib
import shutil
import stat
import subprocess
import tempfile

from lib.gateway import ADDRESS, Client, PORT, Server, Site, expect
from lib.org import Org, certs, openssl

TIME_LIMIT_S = 120
ENDPOINT = "192.0.2.1:51820"


class Fresh(Site):
    """A host with nothing on it but the programs, and an org elsewhere."""

    def __init__(self):  # pylint: disable=super-init-not-called
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="init."))
        self.home = self.folder / "etc"
        self.settings = self.home / "gateway.conf"
        self.database = self.folder / "state/gateway.db"
        self.port = PORT

    def init(self, *words):
        status, out, note = self.run("init", *words)
        assert status == 0, note
        return out.splitlines(), note

    def adapt(self):
        """What this test needs otherwise: its own port and folder, no kernel."""
        text = self.settings.read_text()
        for before, after in (("#Listen=[::]:443", f"Listen={ADDRESS}:{PORT}"),
                              ("#Database=/var/lib/fortros/gateway.db", f"Database={self.database}"),
                              ("#PrivateKey=wireguard.key", "Manage=no")):
            assert before in text, text
            text = text.replace(before, after, 1)
        self.settings.write_text(text)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_from_nothing_to_a_gateway_that_admits_a_node():
    """Who sets a gateway up would have to know which file comes from where."""
    umask = os.umask(0)
    try:
        where = Fresh()
        key = where.home / "wireguard.key"
        out, note = where.init("--endpoint", ENDPOINT, "--endpoint", "2001:db8::1")
        expect(out, [f"made  {where.settings}", f"made  {key}"], "what it has made")
        assert f"Endpoints={ENDPOINT} [2001:db8::1]:51820\n" in where.settings.read_text()
        expect((mode(where.home), mode(key)), (0o700, 0o600), "the modes")
        for word in ("certs/make-org", "org.conf", "signer.key", "certs/gateway-keys", "gateway.pem", "init --config"):
            assert word in note, f"{word} is not in {note}"

        where.adapt()
        where.org = Org.make(where.folder / "org")
        certs("gateway-keys", where.home)
        certs("issue-gateway", where.org.folder, where.home)
        for file in (where.org.ca, where.org.folder / "org.conf", where.org.signer, where.org.signer_key):
            shutil.copy(file, where.home)
        out, note = where.init()
        expect(out, [f"kept  {where.settings}", f"kept  {key}", f"made  {where.database}"], "what it has made now")
        expect((mode(where.database.parent), mode(where.database)), (0o700, 0o600), "the modes")
        assert "certs/" not in note and "fortros-gateway check" in note, note
    finally:
        os.umask(umask)
    where.admin("check")
    with Server(where), Client(where) as node:
        expect(node.tell(f"enroll 1 {where.invite()}")["status"], 200, "an enrolment")
    before = contents(where.folder)
    expect(where.init()[0], [f"kept  {where.settings}", f"kept  {key}", f"kept  {where.database}"], "what is there")
    for path, content in before.items():
        if path.parent == where.home:
            expect(path.read_bytes(), content, str(path))
    expect(len(where.json("node", "list")), 1, "the nodes")


def test_what_is_there_is_never_replaced():
    """A second try would make a gateway with another key, which every node refuses."""
    where = Fresh()
    where.home.mkdir()
    key = where.home / "wireguard.key"
    key.write_text(subprocess.run(["wg", "genkey"], check=True, capture_output=True, text=True).stdout
                   if shutil.which("wg") else openssl("rand", "-base64", "32"))
    key.chmod(0o640)
    before = contents(where.home)
    out, _ = where.init("--endpoint", ENDPOINT)
    expect(out, [f"made  {where.settings}", f"kept  {key}"], "what it has made")
    expect((key.read_bytes(), mode(key)), (before[key], 0o640), "the key")
    before = contents(where.home)
    status, out, error = where.run("init", "--endpoint", "192.0.2.9:51820")
    expect((status, out), (2, ""), error)
    assert "left as it is" in error, error
    expect(contents(where.home), before, "the files")


def test_what_cannot_be_right_is_said_and_nothing_is_made():
    """A gateway would serve at an address where nobody finds it."""
    where = Fresh()
    for words in ((), ("--endpoint", "gw.example.org:51820"), ("--endpoint", "127.0.0.1:51820"), ("--endpoint", "")):
        status, out, error = where.run("init", *words)
        expect((status, out), (2, ""), error)
        assert not where.home.exists(), words
    where.init("--endpoint", ENDPOINT)
    where.settings.write_text("[Gateway]\nColour=blue\n")
    status, _, error = where.run("init")
    expect(status, 3, error)
    assert "Colour=" in error, error
    where.settings.unlink()
    (where.home / "wireguard.key").write_text("no key\n")
    status, _, error = where.run("init", "--endpoint", ENDPOINT)
    expect(status, 4, error)
    expect((where.home / "wireguard.key").read_text(), "no key\n", "what was there")
