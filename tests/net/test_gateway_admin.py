"""The gateway's commands, beside one that serves, and what it says to bad input."""

import contextlib
import datetime
import functools
import json
import os
import pathlib
import re
import shutil
import sqlite3
import stat
import subprocess
import tempfile

from lib.gateway import PORT, PROGRAM, Site, expect, expect_failure

TIME_LIMIT_S = 120
INVITE = re.compile(r"fortros-invite-v1-[A-Za-z0-9_-]{32}\n")


@functools.cache
def site():
    """For commands alone: nothing serves."""
    return Site(tempfile.mkdtemp(prefix="gateway."))


def another_site():
    """A copy, to break."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="gateway."))
    return Site(folder, org=site().org)


# --- invites --------------------------------------------------------------------------------------

def test_an_invite_is_printed_alone():
    """A script could not put it into a file."""
    status, out, error = site().run("invite", "create")
    expect(status, 0, error)
    assert INVITE.fullmatch(out), out
    assert out.strip() not in error
    assert "one use" in error and "once only" in error, error


def test_an_invite_is_written_into_a_file_for_its_owner():
    """It would pass through a terminal's memory, or be readable for everyone."""
    file = site().folder / "an-invite"
    status, out, error = site().run("invite", "create", "--output", file, "--uses", "3")
    expect((status, out), (0, ""), error)
    assert INVITE.fullmatch(file.read_text()), file.read_text()
    expect(stat.S_IMODE(file.stat().st_mode), 0o600, "its mode")
    assert file.read_text().strip() not in error


def test_an_invite_that_cant_be_written_is_not_made():
    """An invite that nobody has would stay open; or a file that somebody needs would be gone."""
    before = site().json("invite", "list")
    expect_failure(site(), ("invite", "create", "--output", "/nowhere/invite"), 1, "/nowhere/invite")
    file = site().folder / "taken"
    file.write_text("the invite of another machine\n")
    expect_failure(site(), ("invite", "create", "--output", file), 1, "taken", "exists")
    expect(file.read_text(), "the invite of another machine\n", "the file that was there")
    expect(site().json("invite", "list"), before, "the invites")
    expect([path.name for path in site().folder.glob("taken*")], ["taken"], "what is left beside it")


def test_invites_are_listed_and_revoked():
    """An admin could not take back what was given out."""
    created = site().json("invite", "create", "--uses", "5", "--approval", "no", "--expires", "2h", "--role", "lighthouse")
    assert INVITE.fullmatch(created["invite"] + "\n"), created
    (listed,) = [invite for invite in site().json("invite", "list") if invite["id"] == created["id"]]
    assert "invite" not in listed, "the list shows the invite itself"
    expect({key: listed[key] for key in ("state", "uses", "used", "role", "hostname")},
           {"state": "open", "uses": 5, "used": 0, "role": "lighthouse", "hostname": ""}, "the invite in the list")
    table = site().admin("invite", "list")
    assert re.search(rf"^{created['id']} +open +0/5 +0 +no +lighthouse ", table, re.M), table
    site().admin("invite", "revoke", created["id"])
    assert re.search(rf"^{created['id']} +revoked ", site().admin("invite", "list"), re.M)
    expect_failure(site(), ("invite", "revoke", "0123456789ab"), 8, "0123456789ab")
    expect_failure(site(), ("invite", "revoke", "everything"), 2, "invite list")


def test_an_invite_fixes_role_and_hostname():
    """A node would choose its own role."""
    where = another_site()
    with where.start(), where.client() as node:
        lighthouse = where.invite("--role", "lighthouse", "--hostname", "lh1")
        answer = node.tell(f"enroll 1 {lighthouse}")
        expect((answer["role"], answer["hostname"]), ("lighthouse", "lh1"), "the role and the hostname")
        table = where.admin("node", "list")
        assert re.search(r" lh1 +lighthouse +member ", table), table


def test_bad_options_are_refused():
    """A typo would make an invite that nobody meant."""
    for words in (("--uses", "0"), ("--uses", "many"), ("--uses", "9999999"), ("--expires", "-1d"),
                  ("--expires", "10y"), ("--expires", "0"), ("--role", "gateway"), ("--role", "king"),
                  ("--hostname", "-x"), ("--approval", "maybe"), ("--hostname", "a", "--uses", "2"), ("--use", "1"), ("extra",)):
        expect_failure(site(), ("invite", "create", *words), 2)


# --- nodes ----------------------------------------------------------------------------------------

def test_a_revoked_node_is_refused_at_once_and_for_ever():
    """A stolen machine would stay in the org."""
    where = another_site()
    with where.start() as server, where.client() as node:
        invite = where.invite("--uses", "9")
        first, second, third = (node.tell(f"enroll {seed} {invite}") for seed in (1, 2, 3))
        where.admin("node", "revoke", first["overlay_address"])
        where.admin("node", "revoke", second["public_key"])
        where.admin("node", "revoke", third["hostname"])
        for seed in (1, 2, 3):
            for request in (f"join {seed}", f"enroll {seed} {invite}"):
                answer = node.tell(request)
                expect((answer["status"], answer.get("refusal"), answer["proved"]), (403, "revoked", True), request)
            server.wait_for("event=node-removed")  # from the kernel, if it were managed
        expect([entry["revoked"] is not None for entry in where.json("node", "list")], [True] * 3, "the list")
        where.admin("node", "revoke", first["overlay_address"])  # again: nothing new
        expect_failure(where, ("node", "revoke", "fd00::1"), 8, "fd00::1")
    with where.start(), where.client() as node:
        expect(node.tell("join 1")["status"], 403, "the status after a restart")


def test_a_hostname_of_two_nodes_revokes_neither():
    """The wrong machine would be thrown out."""
    where = another_site()
    with where.start(), where.client() as node:
        for seed in (1, 2):
            invite = where.invite("--hostname", "twin")
            expect(node.tell(f"enroll {seed} {invite}")["hostname"], "twin", "the hostname")
        expect_failure(where, ("node", "revoke", "twin"), 2, "2 nodes", "overlay address")
        expect(node.tell("join 1")["status"], 200, "a twin's join")


def test_a_join_leaves_no_trace_in_the_database():
    """An org that comes back would wear out the disk, or wait for it."""
    where = another_site()
    with where.start(), where.client() as node:
        node.tell(f"enroll 1 {where.invite()}")
        files = sorted(where.database.parent.iterdir())
        before = [file.read_bytes() for file in files if not file.name.endswith("-shm")]
        for _ in range(5):
            expect(node.tell("join 1")["status"], 200, "a join")
        after = [file.read_bytes() for file in files if not file.name.endswith("-shm")]
        assert before == after, "a join has written"


# --- the audit log --------------------------------------------------------------------------------

def test_the_audit_log_is_shown_and_verified_beside_a_gateway_that_serves():
    """Nobody could say who let a machine in, nor whether somebody has tidied up after himself."""
    where = another_site()
    with where.start(), where.client() as node:
        expect(where.json("audit", "show"), [], "the log of a new gateway")
        answer = node.tell(f"enroll 1 {where.invite()}")
        where.admin("node", "revoke", answer["overlay_address"])
        expect(node.tell("join 1")["status"], 403, "the join of the revoked")
        log = where.json("audit", "show")
        expect([(entry["number"], entry["event"], entry["actor"]) for entry in log],
               [(1, "invite-created", "uid 0"), (2, "enrolled", "127.0.0.1"), (3, "node-revoked", "uid 0"),
                (4, "refused", "127.0.0.1")], "the log")
        expect((log[1]["node"], log[3]["detail"]), (answer["public_key"], "revoked"), "node and reason")
        expect([entry["number"] for entry in where.json("audit", "show", "--limit", "2")], [3, 4], "the newest")
        table = where.admin("audit", "show")
        assert re.search(rf"^3 +\S+ +node-revoked +uid 0 +{answer['overlay_address']} ", table, re.M), table
        head = where.admin("audit", "verify")
        assert re.fullmatch(r"4:[0-9a-f]{64}\n", head), head
        where.invite()
        where.admin("audit", "verify", "--head", head.strip())
    for words in (("verify", "--head", "4"), ("show", "--limit", "0"), ("show", "--limit", "x")):
        expect_failure(where, ("audit", *words), 2, words[1])
    with contextlib.closing(sqlite3.connect(where.database)) as database, database:
        database.execute("DROP TRIGGER audit_is_never_changed")
        database.execute("UPDATE audit SET actor = 'uid 1000' WHERE number = 3")
    expect_failure(where, ("audit", "verify"), 9, "entry 3 ")


# --- bad input ------------------------------------------------------------------------------------

def test_help_and_version():
    """Nobody could find out what to type."""
    for words in (("--help",), ("serve", "--help"), ("invite", "create", "--help"), ("node", "revoke", "-h")):
        done = subprocess.run([PROGRAM, *words], text=True, capture_output=True, check=False)
        expect(done.returncode, 0, f"{words}: {done.stderr}")
        assert done.stdout.startswith("usage: fortros-gateway"), done.stdout
    done = subprocess.run([PROGRAM, "--version"], text=True, capture_output=True, check=True)
    assert re.fullmatch(r"fortros-gateway \d+\.\d+\.\d+\n", done.stdout), done.stdout
    for words in ((), ("sing",), ("invite",), ("serve", "--loudly")):
        done = subprocess.run([PROGRAM, *words], text=True, capture_output=True, check=False)
        expect(done.returncode, 2, f"{words}: {done.stderr}")
        assert "--help" in done.stderr, done.stderr


def test_a_full_standard_output_is_an_error():
    """A script would believe that it has an invite."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run([PROGRAM, "invite", "create", "--config", site().settings], stdout=full,
                              stderr=subprocess.PIPE, text=True, check=False)
    expect(done.returncode, 1, done.stderr)
    assert "standard output" in done.stderr, done.stderr


def test_bad_settings_name_file_and_line():
    """An admin would have to guess."""
    where = another_site()
    text = where.settings.read_text()
    where.settings.write_text(text + "Colour=blue\n")
    line = len(text.splitlines()) + 1
    expect_failure(where, ("serve",), 3, f"gateway.conf:{line}:", "Colour=")
    expect_failure(where, ("check",), 3, f"gateway.conf:{line}:")
    where.settings.unlink()
    expect_failure(where, ("serve",), 3, "gateway.conf", "No such file")
    where.settings.write_text(text)
    (where.home / "org.conf").unlink()
    expect_failure(where, ("serve",), 3, "org.conf", "make-org")


def test_credentials_that_do_not_fit_are_found_before_anything_serves():
    """Every node would refuse the gateway, and say so only on its own console."""
    def broken(how, *parts):
        where = another_site()
        how(where)
        for command in ("serve", "check"):
            expect_failure(where, (command,), 4, *parts)

    def remove(name):
        return lambda where: (where.home / name).unlink()

    def garble(name):
        return lambda where: (where.home / name).write_text("garbage\n")

    for name in ("ca.pem", "gateway.pem", "gateway.key", "wireguard.key", "signer.pem", "signer.key"):
        broken(remove(name), name, "No such file")
        broken(garble(name), name)

    stranger = site().org.twin(site().folder / "twin")
    broken(lambda where: shutil.copy(stranger.ca, where.home / "ca.pem"), "gateway.pem", "does not chain")
    broken(lambda where: shutil.copy(stranger.signer, where.home / "signer.pem"), "signer.pem", "does not chain")

    other = site().org.gateway(site().folder / "other-gateway")
    broken(lambda where: shutil.copy(other.wireguard_key, where.home), "WireGuard key", other.wireguard_public,
           "issue-gateway")
    broken(lambda where: shutil.copy(other.key, where.home), "gateway.key", "is not its private key")
    broken(lambda where: shutil.copy(other.key, where.home / "signer.key"), "does not belong to its certificate")
    broken(lambda where: site().org.forge(where.gateway, dns=["other.example.org"]), "other names")
    broken(lambda where: site().org.forge(where.gateway, usage="clientAuth"), "serverAuth")
    broken(lambda where: shutil.copy(where.home / "gateway.pem", where.home / "signer.pem"), "dNSName")

    def rotate_nothing(where):
        shutil.copy(where.home / "wireguard.key", where.home / "previous.key")
        with where.settings.open("a", encoding="ascii") as settings:
            settings.write("[PreviousWireGuard]\nPrivateKey=previous.key\nListenPort=51819\n")

    broken(rotate_nothing, "previous.key", "the same key")


def test_certificates_that_end_are_named_and_do_not_keep_it_from_serving():
    """The whole org would be locked out one morning; or its tunnels would go with the certificate."""
    day = datetime.timedelta(days=1)
    for begin, end, level, words in ((-70 * day, 20 * day, 0, "is due for renewal"), (-90 * day, -day, 4, "expired at"),
                                     (day, 30 * day, 4, "is not valid before")):
        where = another_site()
        site().org.forge(where.gateway, begin=begin, end=end)
        status, out, error = where.run("check")
        expect(status, level, f"the exit code of check: {error}")
        assert f"gateway.pem' {words}" in out + error, out + error
        with where.start() as server:
            (line,) = [line for line in server.lines if "event=certificate " in line]
            assert words in line and "gateway.pem" in line, line
    with another_site().start() as server:
        assert "event=certificate " not in server.log, "a fresh certificate was complained about"


def test_check_config_changes_nothing():
    """A look would make a database as root that the service can't write."""
    where = another_site()
    out = where.admin("check")
    assert where.org.prefix in out and where.gateway.wireguard_public in out, out
    assert not where.database.exists()


def test_an_exposed_key_is_warned_about():
    """Nobody would notice that every user of the host can pose as the gateway."""
    where = another_site()
    (where.home / "wireguard.key").chmod(0o644)
    assert "wireguard.key' can be read by others" in where.admin("check")


def test_a_taken_port_is_an_error_of_its_own():
    """Two gateways would be started, and one of them would seem to work."""
    where = another_site()
    with where.start():
        status, _, error = where.run("serve")
        expect(status, 6, error)
        assert str(PORT) in error and "somebody else" in error, error


def test_a_database_that_is_none_is_left_alone():
    """A wrong path would cost somebody his file."""
    where = another_site()
    where.database.parent.mkdir()
    where.database.write_text("my diary\n" * 1000)
    for words in (("serve",), ("invite", "create"), ("node", "list")):
        expect_failure(where, words, 5, "gateway.db")
    assert where.database.read_text() == "my diary\n" * 1000


def test_another_orgs_database_is_refused():
    """Nodes of one org would be members of another."""
    where = another_site()
    where.admin("invite", "list")
    conf = where.home / "org.conf"
    conf.write_text(re.sub(r"^Prefix=.*$", "Prefix=fd11:2222:3333::/48", conf.read_text(), flags=re.M))
    expect_failure(where, ("serve",), 5, where.org.prefix, "fd11:2222:3333::/48")


def test_unmanaged_wireguard_is_said_loudly():
    """Somebody would wonder for days why no tunnel works."""
    where = another_site()
    with where.start() as server:
        assert "WireGuard is NOT managed" in server.log


def test_without_wireguard_in_the_kernel_it_says_so():
    """It would tell nodes yes, and none would get a tunnel."""
    where = another_site()
    where.settings.write_text(where.settings.read_text().replace("Manage=no", "Manage=yes"))
    if os.path.exists("/sys/module/wireguard"):
        return
    expect_failure(where, ("serve",), 7, "WireGuard")


def test_lists_are_json_for_programs():
    """A program would have to read a table for people."""
    for words in (("invite", "list"), ("node", "list"), ("node", "waiting")):
        assert isinstance(json.loads(site().admin(*words, "--json")), list)
