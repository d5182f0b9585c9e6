"""Newcomers that an admin has to approve, and nodes that come again: lost keys, copies, collisions."""

import contextlib
import ipaddress
import re
import sqlite3
import tempfile

from lib.gateway import Site, expect

TIME_LIMIT_S = 300


def make_site():
    return Site(tempfile.mkdtemp(prefix="gateway."))


def ask(node, seed, invite, status, refusal=None):
    """An enrolment whose answer is `status`, proved."""
    answer = node.tell(f"enroll {seed} {invite}")
    expect((answer.get("status"), answer.get("refusal"), answer.get("proved")), (status, refusal, True),
           f"the answer to {seed}")
    return answer


def audit(site):
    with contextlib.closing(sqlite3.connect(site.database)) as database:
        return [event for (event,) in database.execute("SELECT event FROM audit ORDER BY number")]


# --- approval -------------------------------------------------------------------------------------

def test_a_newcomer_waits_for_an_admin_and_survives_the_gateways_crash():
    """A whole rack would be let in by one found image; or stand still after a power cut."""
    site = make_site()
    invite = site.invite(approval="yes")
    with site.start() as server, site.client() as node:
        answer = ask(node, 1, invite, 202, "approval-pending")
        assert 15 <= answer["retry_after"] < 30, answer
        server.wait_for("event=waiting")
        (waiting,) = site.json("node", "waiting")
        expect((waiting["overlay_address"], waiting["public_key"], waiting["rejected"]),
               (answer["overlay_address"], answer["public_key"], None), "who waits")
        assert re.search(rf"^{waiting['overlay_address']} +client-1 +waiting ", site.admin("node", "waiting"), re.M)
        expect(site.json("invite", "list")[0]["state"], "reserved", "the invite")
        expect(ask(node, 2, invite, 401, "invite-invalid")["proved"], True, "another key's answer")
        expect(site.json("node", "list"), [], "the members")
        server.kill()
    with site.start() as server, site.client() as node:
        ask(node, 1, invite, 202, "approval-pending")
        site.admin("node", "approve", waiting["overlay_address"])
        server.kill()  # before the node has come back
    with site.start(), site.client() as node:
        expect([entry["state"] for entry in site.json("node", "list")], ["member"], "the members")
        ask(node, 1, invite, 200)
        expect(node.tell("join 1")["status"], 200, "its next boot")
        expect(site.json("node", "waiting"), [], "who waits")
    expect([event for event in audit(site) if event != "refused"], ["invite-created", "waiting", "node-approved"],
           "the audit log")


def test_a_rejected_node_is_told_so_and_its_use_is_free():
    """Who asks first would keep out the machine that the invite was made for."""
    site = make_site()
    with site.start(), site.client() as node:
        invite = site.invite(approval="yes")
        stranger = ask(node, 1, invite, 202, "approval-pending")
        site.admin("node", "reject", stranger["overlay_address"])
        ask(node, 1, invite, 401, "approval-refused")
        mine = ask(node, 2, invite, 202, "approval-pending")
        status, _, error = site.run("node", "approve", stranger["overlay_address"])
        expect(status, 1, error)  # its use is somebody else's
        site.admin("node", "approve", mine["overlay_address"])
        ask(node, 2, invite, 200)


def test_approval_is_by_the_whole_address_of_somebody_who_waits():
    """A hostname is a stranger's wish; half an address can be had by trying keys."""
    site = make_site()
    with site.start(), site.client() as node:
        waiting = ask(node, 1, site.invite(approval="yes"), 202, "approval-pending")
        for name, status in (("client-1", 2), (waiting["public_key"], 2), (waiting["overlay_address"][:-1], 2),
                             ("fd00::1", 8)):
            for verb in ("approve", "reject"):
                got, out, error = site.run("node", verb, name)
                assert got == status or (got, status) == (8, 2), (name, got, error)
                expect(out, "", "standard output")
        expect(site.json("node", "list"), [], "the members")


def test_invites_for_several_need_approval_unless_told_otherwise():
    """An image for a whole fleet would admit whoever finds it."""
    site = make_site()
    kinds = {}
    for words in ((), ("--uses", "2"), ("--uses", "2", "--approval", "no"), ("--approval", "yes")):
        kinds[words] = site.json("invite", "create", *words)["approval"]
    expect(list(kinds.values()), [False, True, False, True], "whether approval is needed")
    text = site.settings.read_text()
    for value, expected in (("yes", [True, True]), ("no", [False, False]), ("several-uses", [False, True])):
        site.settings.write_text(text + f"\n[Invites]\nApproval={value}\n")
        expect([site.json("invite", "create", "--uses", uses)["approval"] for uses in "12"], expected, value)
    site.settings.write_text(text + "\n[Invites]\nApproval=perhaps\n")
    status, _, error = site.run("invite", "create")
    expect(status, 3, error)


def test_a_leaked_invite_does_not_lock_out_other_nodes():
    """One lost image would stop the enrolment of a whole org."""
    site = make_site()
    with site.start(), site.client() as node:
        leaked, honest = site.invite("--uses", "1000", approval="yes"), site.invite(approval="yes")
        seed, answer = 0, {"status": 202}
        while answer["status"] == 202:
            seed += 1
            answer = node.tell(f"enroll {seed} {leaked}")
        expect((answer["status"], answer["refusal"], answer["proved"]), (429, "busy", True), "the answer when full")
        assert answer["retry_after"] >= 60, answer
        expect(len(site.json("node", "waiting")), seed - 1, "who waits")
        ask(node, 5000, honest, 202, "approval-pending")
        (leak,) = [invite for invite in site.json("invite", "list") if invite["uses"] == 1000]
        site.admin("invite", "revoke", leak["id"])
        expect(len(site.json("node", "waiting")), 1, "who waits once it is revoked")


# --- nodes that come again ------------------------------------------------------------------------

def test_a_lost_key_makes_a_new_node_and_the_old_one_is_retired():
    """A machine whose flash was cleared would be two nodes for ever."""
    site = make_site()
    with site.start() as server, site.client() as node:
        old = ask(node, 1, site.invite(), 200)
        new = ask(node, 2, site.invite(), 200)  # the same machine, with another key
        assert new["overlay_address"] != old["overlay_address"]
        site.admin("node", "retire", old["overlay_address"])
        server.wait_for("event=node-removed")
        for request in ("join 1", f"enroll 1 {site.invite()}"):
            answer = node.tell(request)
            expect((answer["status"], answer["refusal"], answer["proved"]), (403, "retired", True), request)
        expect(node.tell("join 2")["status"], 200, "the new node's join")
        states = {entry["public_key"]: entry["state"] for entry in site.json("node", "list")}
        expect(states, {old["public_key"]: "retired", new["public_key"]: "member"}, "the nodes")
        used = sorted(invite["used"] for invite in site.json("invite", "list"))
        expect(used, [0, 1, 1], "uses of the invites, of which the retired key brought the last")


def test_an_address_that_somebody_has_costs_no_invite():
    """The second node would take the first one's packets."""
    site = make_site()
    with site.start(), site.client() as node:
        ask(node, 1, site.invite(), 200)
        # No two keys are known whose addresses collide: the registry is made to hold the second one's.
        wanted = ask(node, 2, site.invite(approval="yes"), 202, "approval-pending")["overlay_address"]
        with contextlib.closing(sqlite3.connect(site.database)) as database, database:
            database.execute("DELETE FROM waiting")
            database.execute("UPDATE nodes SET overlay_address = ?", (ipaddress.ip_address(wanted).packed,))
        invite = site.invite()
        ask(node, 2, invite, 409, "address-taken")
        ask(node, 3, invite, 200)


def test_two_machines_with_one_key_are_reported_and_served():
    """Copies of one disk would cut each other off, and nobody would know why."""
    site = make_site()
    with site.start() as server, site.client() as node:
        member = ask(node, 1, site.invite(), 200)
        for boot in "123":  # one machine that reboots
            expect(node.tell(f"join 1 boot={boot}")["status"], 200, boot)
        expect(site.json("node", "list")[0]["key_shared"], None, "one machine's mark")
        for boot in "4343":
            expect(node.tell(f"join 1 boot={boot}")["status"], 200, boot)
        line = server.wait_for("event=key-shared")
        assert member["overlay_address"] in line, line
        assert site.json("node", "list")[0]["key_shared"], "no mark"
        assert re.search(r" member, key shared ", site.admin("node", "list"))
        expect(audit(site).count("key-shared"), 1, "entries in the audit log")


def test_a_node_revoked_while_nothing_serves_is_refused_from_the_start():
    """A stolen machine would have until somebody remembers to revoke it again."""
    site = make_site()
    with site.start(), site.client() as node:
        member = ask(node, 1, site.invite(), 200)
    site.admin("node", "revoke", member["overlay_address"])
    with site.start(), site.client() as node:
        answer = node.tell("join 1")
        expect((answer["status"], answer["refusal"]), (403, "revoked"), "the first answer")
