"""What a gateway has acknowledged survives: races for an invite, kill -9 under load, a full disk."""

import concurrent.futures
import contextlib
import itertools
import os
import queue
import random
import sqlite3
import subprocess
import tempfile

from lib.gateway import Client, Site, expect

TIME_LIMIT_S = 900
TAKES_S = 70
RACERS = 30
KILL_ROUNDS = int(os.environ.get("FORTROS_KILL_ROUNDS", "200"))
LOADERS = 4
ENROLMENTS_BEFORE_KILL = (5, 40)


def make_site(**options):
    return Site(tempfile.mkdtemp(prefix="gateway."), **options)


def check_database(site):
    """SQLite's own opinion of the file."""
    with contextlib.closing(sqlite3.connect(site.database)) as database:
        expect(database.execute("PRAGMA integrity_check").fetchall(), [("ok",)], "the integrity of the database")
        expect(database.execute("PRAGMA foreign_key_check").fetchall(), [], "broken references")
        # Each use of an invite is a node, and the other way round.
        expect(database.execute("SELECT sum(used) FROM invites").fetchone()[0],
               database.execute("SELECT count(*) FROM nodes").fetchone()[0], "spent uses, against nodes")


def test_one_single_use_invite_and_many_nodes_at_once():
    """Everybody who boots the image in the same second would be let in."""
    site = make_site()
    with site.start(), contextlib.ExitStack() as stack:
        invite = site.invite()
        nodes = [stack.enter_context(Client(site)) for _ in range(RACERS)]
        for node in nodes:
            node.say("connect")
        for node in nodes:
            expect(node.hear(), {}, "a handshake")
        for seed, node in enumerate(nodes):
            node.say(f"enroll {seed} {invite}")
        answers = [node.hear() for node in nodes]
        winners = [seed for seed, answer in enumerate(answers) if answer.get("status") == 200]
        expect(len(winners), 1, f"the number of winners among {[answer.get('status') for answer in answers]}")
        for answer in answers:
            assert answer["proved"], answer
            assert answer["status"] == 200 or answer.get("refusal") == "invite-invalid", answer
        expect([node["public_key"] for node in site.json("node", "list")], [answers[winners[0]]["public_key"]],
               "the nodes that the gateway knows")
    check_database(site)


def enrol_until_killed(site, invite, seeds, acknowledged):
    """Enrols one new key after the other, and tells of each that was told yes."""
    with Client(site) as node:
        for seed in seeds:
            answer = node.tell(f"enroll {seed} {invite}")
            if "status" not in answer:
                return  # killed
            expect(answer["status"], 200, f"the enrolment of {seed}")
            acknowledged.put((seed, answer["public_key"]))


def test_kill_nine_under_load_loses_no_acknowledged_enrolment():
    """A node that was told yes would be a stranger after the gateway's crash, its invite spent."""
    site = make_site()
    dice = random.Random(20261122)
    invite = site.invite("--uses", "100000")
    members = {}
    for round_number in range(KILL_ROUNDS):
        acknowledged = queue.Queue()
        with site.start() as server, concurrent.futures.ThreadPoolExecutor() as pool:
            loads = [pool.submit(enrol_until_killed, site, invite,
                                 itertools.count(round_number * 1_000_000 + loader * 10_000), acknowledged)
                     for loader in range(LOADERS)]
            for _ in range(dice.randint(*ENROLMENTS_BEFORE_KILL)):
                members.update([acknowledged.get(timeout=60)])
            server.kill()
            for load in loads:
                load.result()
        while not acknowledged.empty():
            members.update([acknowledged.get()])
        check_database(site)
    with site.start(), site.client() as node:
        known = {entry["public_key"] for entry in site.json("node", "list")}
        lost = {seed: key for seed, key in members.items() if key not in known}
        expect(lost, {}, f"acknowledged enrolments that were lost, of {len(members)}")
        for seed in dice.sample(sorted(members), 10):
            expect(node.tell(f"join {seed}").get("status"), 200, f"the join of {seed}")
    print(f"{len(members)} enrolments acknowledged in {KILL_ROUNDS} rounds, {len(known)} known")


@contextlib.contextmanager
def site_on_a_small_disk():
    site = make_site(database="state/gateway.db")
    state = site.database.parent
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", state], check=True)
    try:
        yield site
    finally:
        subprocess.run(["umount", "-l", state], check=True)


def fill_disk_of(site):
    """Writes a file until there is no room for a page; the file."""
    filler = site.database.parent / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return filler


def test_a_full_disk_is_said_and_loses_nothing():
    """The gateway would end, forget members, or tell a node yes and forget it."""
    with site_on_a_small_disk() as site:
        invite = site.invite("--uses", "10000")
        with site.start() as server, site.client() as node:
            expect(node.tell(f"enroll 1 {invite}")["status"], 200, "an enrolment with room")
            filler = fill_disk_of(site)
            # What SQLite had reserved before is used up first.
            enrolled, answer = 1, {}
            while (answer := node.tell(f"enroll {enrolled + 1} {invite}"))["status"] == 200:
                enrolled += 1
                assert enrolled < 2000, "the disk is not full"
            expect((answer["status"], answer.get("refusal"), answer["proved"]), (503, "busy", True), "without room")
            assert answer["retry_after"] > 0, answer
            line = server.wait_for("event=request-failed")
            assert "full" in line and "gateway.db" in line, line
            expect(server.log.count("event=enrolled"), enrolled, "the enrolments that the log tells of")
            expect(site.metrics()["fortros_gateway_enrolments_total"], enrolled, "the enrolments that are counted")
            expect(node.tell("join 1")["status"], 200, "a member's join, which writes nothing")
            status, _, error = site.run("invite", "create")
            assert status == 5 and "full" in error, (status, error)
            expect(server.process.poll(), None, "whether the gateway ended")

            filler.unlink()
            expect(node.tell(f"enroll {enrolled + 1} {invite}")["status"], 200, "the same enrolment, with room again")
            keys = [entry["public_key"] for entry in site.json("node", "list")]
            expect((len(keys), len(set(keys))), (enrolled + 1, enrolled + 1), "the nodes")
            server.kill()
        check_database(site)
        with site.start(), site.client() as node:
            for seed in (1, enrolled, enrolled + 1):
                expect(node.tell(f"join {seed}")["status"], 200, f"the join of {seed} after a restart")


def test_a_gateway_starts_again_on_a_full_disk():
    """After a power cut nobody could come back until an admin has made room."""
    with site_on_a_small_disk() as site:
        with site.start(), site.client() as node:
            expect(node.tell(f"enroll 1 {site.invite()}")["status"], 200, "an enrolment with room")
        fill_disk_of(site)
        with site.start(), site.client() as node:
            expect(node.tell("join 1")["status"], 200, "a member's join")
