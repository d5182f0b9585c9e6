"""A registry that is copied while a gateway serves, lost with its machine, and restored on another."""

import contextlib
import functools
import pathlib
import sqlite3
import stat
import tempfile

from lib.gateway import Site, expect, expect_failure
from lib.org import Org

TIME_LIMIT_S = 120


@functools.cache
def org():
    return Org.make(pathlib.Path(tempfile.mkdtemp(prefix="backup.")) / "org")


def make_site():
    return Site(tempfile.mkdtemp(prefix="backup."), org=org())


def lose(where):
    """Another machine with the same keys: there is no database."""
    for file in where.database.parent.iterdir():
        file.unlink()
    where.database.parent.rmdir()


def files_of(where):
    folder = where.database.parent
    return sorted(file.name for file in folder.iterdir()) if folder.exists() else []


def test_nodes_join_a_restored_gateway_without_noticing():
    """A disk that dies would cost every node its membership, and a walk to its console."""
    where = make_site()
    file = where.folder / "backup"
    with where.start(), where.client() as node:
        invite = where.invite("--uses", "9")
        first = node.tell(f"enroll 1 {invite}")
        expect(first["status"], 200, "an enrolment")
        revoked = node.tell(f"enroll 2 {invite}")
        where.admin("node", "revoke", revoked["public_key"])
        where.admin("backup", file)
        expect(stat.S_IMODE(file.stat().st_mode), 0o600, "the mode of the backup")
        expect(node.tell(f"enroll 3 {invite}")["status"], 200, "an enrolment after the backup")
        where.admin("policy", "set", "--sources", "cached")
        before = where.json("policy", "show")
    lose(where)

    where.admin("restore", file)
    expect(files_of(where), [where.database.name], "what is there after restoring")
    expect(stat.S_IMODE(where.database.stat().st_mode), 0o600, "the mode of the database")
    with where.start(), where.client() as node:
        again = node.tell("join 1")
        expect((again["status"], again["overlay_address"]), (200, first["overlay_address"]), "the join of a member")
        expect(node.tell("join 2")["status"], 403, "the join of who was revoked before the backup")
        unknown = node.tell("join 3")
        expect((unknown["status"], unknown["refusal"]), (401, "unknown-node"), "the join of who came after it")
        expect(node.tell(f"enroll 3 {invite}")["status"], 200, "and its enrolment anew")
        after = where.json("policy", "show")
        assert int(after["serial"]) > int(before["serial"]), (before, after)
        events = [entry["event"] for entry in where.json("audit", "show")]
        assert "restored" in events and "policy-changed" in events, events
        where.admin("audit", "verify")
    expect(len(where.json("node", "list")), 3, "the nodes")


def test_a_backup_is_whole_while_nodes_enrol():
    """A backup would be of half an enrolment, and be found out when it is needed."""
    where = make_site()
    with where.start(), where.client() as node:
        invite = where.invite("--uses", "99")
        for seed in range(1, 21):
            node.say(f"enroll {seed} {invite}")
            if seed % 5 == 0:
                where.admin("backup", where.folder / f"backup{seed}")
        for seed in range(1, 21):
            expect(node.hear()["status"], 200, f"enrolment {seed}")
    for seed in range(5, 21, 5):
        with contextlib.closing(sqlite3.connect(where.folder / f"backup{seed}")) as copy:
            expect(copy.execute("PRAGMA integrity_check").fetchall(), [("ok",)], "integrity")
            (nodes,), = copy.execute("SELECT count(*) FROM nodes")
            (used,), = copy.execute("SELECT used FROM invites")
            (entries,), = copy.execute("SELECT count(*) FROM audit")
            expect((used, entries), (nodes, nodes + 1), "uses and entries beside the nodes")


def test_nothing_is_overwritten_without_a_word():
    """A mistyped name would cost the only backup, or the registry that serves."""
    where = make_site()
    file = where.folder / "backup"
    expect_failure(where, ("backup", file), 5, "gateway.db")
    expect(files_of(where), [], "what a backup of nothing has made")
    where.invite()
    where.admin("backup", file)
    content = file.read_bytes()
    where.invite()
    expect_failure(where, ("backup", file), 1, "backup")
    expect(file.read_bytes(), content, "the backup")
    where.admin("backup", file, "--overwrite")
    assert file.read_bytes() != content
    expect_failure(where, ("restore", file), 5, "--overwrite")
    where.invite()
    where.admin("restore", file, "--overwrite")
    expect(len(where.json("invite", "list")), 2, "the invites of the backup")


def test_no_gateway_that_serves_loses_its_database():
    """It would go on with a file that nobody else sees, and what it acknowledges would be gone."""
    where = make_site()
    file = where.folder / "backup"
    with where.start() as server, where.client() as node:
        where.admin("backup", file)
        expect_failure(where, ("restore", file, "--overwrite"), 5, "gateway.db")
        expect(node.tell(f"enroll 1 {where.invite()}")["status"], 200, "an enrolment meanwhile")
        expect(server.stop(), 0, "the exit code")
    expect(len(where.json("node", "list")), 1, "the nodes")
    where.admin("restore", file, "--overwrite")
    expect(len(where.json("node", "list")), 0, "the nodes of the backup")


def test_what_is_no_backup_of_this_org_is_refused_and_changes_nothing():
    """Nodes would be told that they are strangers, by a gateway that started without a word."""
    where = make_site()
    file = where.folder / "backup"
    where.invite()
    where.admin("backup", file)
    sound = file.read_bytes()
    lose(where)
    for content, words in ((b"my diary\n" * 1000, "not a database"), (b"", "is empty"), (sound[:4096], ""),
                           (sound[:5000] + bytes(8000) + sound[13000:], "")):
        file.write_bytes(content)
        expect_failure(where, ("restore", file), 5, words)
        expect(files_of(where), [], "what is left")
    file.write_bytes(sound)
    other = Site(tempfile.mkdtemp(prefix="backup."))
    expect_failure(other, ("restore", file), 5, where.org.prefix)
    expect(files_of(other), [], "what is left")
    expect_failure(where, ("restore", where.folder / "nowhere"), 1, "nowhere")
    where.database.parent.mkdir(exist_ok=True)
    pathlib.Path(f"{where.database}-wal").write_bytes(b"x")
    expect_failure(where, ("restore", file), 5, "gateway.db-wal")
