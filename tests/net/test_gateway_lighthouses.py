"""Lighthouses: an admin's word makes a member one, and every node hears of it, in answers and by the feed.

    nodes ── 127.0.0.1:8443 ── fortros-gateway (Manage=no) ── SQLite
"""

import base64
import functools
import json
import pathlib
import re
import sqlite3
import tempfile

from lib.gateway import Site, expect, expect_failure
from lib.org import Org

TIME_LIMIT_S = 120
ENDPOINTS = ["203.0.113.5:51820", "[2001:db8::5]:51820"]
NODE, LIGHTHOUSE = 1, 2


@functools.cache
def org():
    return Org.make(pathlib.Path(tempfile.mkdtemp(prefix="lighthouses.")) / "org")


def make_site():
    return Site(tempfile.mkdtemp(prefix="lighthouses."), org=org())


def enrol(where, node, seed, *options):
    told = node.tell(f"enroll {seed} {where.invite(*options)}")
    expect(told["status"], 200, f"the enrolment of {seed}: {told}")
    return told


def set_lighthouse(where, name, endpoints):
    return where.admin("lighthouse", "set", name, *(word for endpoint in endpoints for word in ("--endpoint", endpoint)))


def lighthouses_in(told):
    assert told["status"] == 200 and told["proved"], told
    return [peer for peer in told["peers"] if peer["role"] == "lighthouse"]


def page(node, since=0, document=0, wait=0):
    told = node.tell(f"get {NODE} /v1/members?since={since}&document={document}&wait={wait}")
    assert told["status"] == 200 and told["proved"], told
    return json.loads(told["body"])


def test_every_answer_names_the_lighthouses_as_an_agent_takes_them():
    """A node would know no way into the overlay but the gateway that has answered it."""
    where = make_site()
    with where.start(), where.client() as node:
        expect(lighthouses_in(enrol(where, node, NODE)), [], "the lighthouses before there is one")
        lit = enrol(where, node, LIGHTHOUSE)
        set_lighthouse(where, lit["overlay_address"], ENDPOINTS)

        told = node.tell(f"join {NODE}")  # judged by the agent's own core
        (peer,) = lighthouses_in(told)
        expect((peer["public_key"], peer["overlay_address"], peer["endpoints"]),
               (lit["public_key"], lit["overlay_address"], ENDPOINTS), "the lighthouse")
        prefix = org().prefix
        expect((peer["interface"], peer["endpoint"], peer["allowed_ips"]), ("fortros-lh1", ENDPOINTS[0], prefix),
               "the tunnel that an agent makes")
        expect(told["peers"][0]["role"], "gateway", "the first peer")
        expect(told["bootstrap_problem"], "", "what an agent says of the set for its next boot")
        assert base64.b64decode(lit["public_key"]) in base64.b64decode(told["bootstrap"])

        own = node.tell(f"join {LIGHTHOUSE}")
        expect((own["role"], lighthouses_in(own)), ("lighthouse", []), "what the lighthouse itself is told")

        newcomer = enrol(where, node, 3)
        expect([peer["public_key"] for peer in lighthouses_in(newcomer)], [lit["public_key"]], "what a newcomer is told")
        where.admin("lighthouse", "unset", lit["hostname"])
        expect(lighthouses_in(node.tell(f"join {NODE}")), [], "the lighthouses after it was unset")


def test_who_waits_at_the_feed_hears_of_it_at_once():
    """A node that runs for a year would learn of a lighthouse at its next boot."""
    where = make_site()
    with where.start(), where.client() as node:
        enrol(where, node, NODE)
        lit = enrol(where, node, LIGHTHOUSE)
        first = page(node)
        (entry,) = (member for member in first["members"] if member["public_key"] == lit["public_key"])
        expect((entry["role"], entry["endpoints"]), ("node", []), "the member as it was")
        since, document = first["revision"], first["document_serial"]
        for endpoints, change in ((ENDPOINTS, lambda: set_lighthouse(where, lit["public_key"], ENDPOINTS)),
                                  (ENDPOINTS[1:], lambda: set_lighthouse(where, lit["public_key"], ENDPOINTS[1:])),
                                  ([], lambda: where.admin("lighthouse", "unset", lit["public_key"]))):
            node.say(f"get {NODE} /v1/members?since={since}&document={document}&wait=120")
            change()
            told = json.loads(node.hear()["body"])
            (member,) = told["members"]
            expect((member["public_key"], member["role"], member["endpoints"]),
                   (lit["public_key"], "lighthouse" if endpoints else "node", endpoints), "the change")
            assert member["attestation"] != entry["attestation"], "the old attestation, with another role"
            assert "document" not in told, told
            since = told["revision"]


def test_who_came_with_an_invite_for_a_lighthouse_is_told_of_when_it_has_endpoints():
    """Every node would peer with a machine that it can't reach."""
    where = make_site()
    with where.start(), where.client() as node:
        enrol(where, node, NODE)
        lit = enrol(where, node, LIGHTHOUSE, "--role", "lighthouse", "--hostname", "lh1")
        expect(lighthouses_in(node.tell(f"join {NODE}")), [], "the lighthouses that can be reached")
        (listed,) = where.json("lighthouse", "list")
        expect((listed["public_key"], listed["hostname"], listed["endpoints"]), (lit["public_key"], "lh1", []), "the list")
        set_lighthouse(where, "lh1", ENDPOINTS)
        (listed,) = where.json("lighthouse", "list")
        expect(listed["endpoints"], ENDPOINTS, "the list")
        table = where.admin("lighthouse", "list")
        assert re.search(rf"^{lit['overlay_address']} +lh1 +{re.escape(' '.join(ENDPOINTS))} ", table, re.M), table
        (entry,) = (entry for entry in where.json("node", "list") if entry["public_key"] == lit["public_key"])
        expect((entry["role"], entry["endpoints"]), ("lighthouse", ENDPOINTS), "the list of nodes")
        expect(len(lighthouses_in(node.tell(f"join {NODE}"))), 1, "the lighthouses that can be reached")
        log = [(entry["event"], entry["detail"]) for entry in where.json("audit", "show")]
        expect(log[-1], ("lighthouse-set", " ".join(ENDPOINTS)), "the newest entry of the audit log")
        where.admin("audit", "verify")
        where.admin("node", "revoke", "lh1")
        expect(where.json("lighthouse", "list"), [], "the list after it was revoked")
        expect(lighthouses_in(node.tell(f"join {NODE}")), [], "the lighthouses after it was revoked")


def test_a_lighthouse_that_has_not_come_for_a_month_is_attested_anew():
    """Its attestation would end while it runs, and no node would believe it any more."""
    where = make_site()
    with where.start() as server, where.client() as node:
        enrol(where, node, NODE)
        lit = enrol(where, node, LIGHTHOUSE)
        server.stop()
    with sqlite3.connect(where.database) as database:
        database.execute("UPDATE nodes SET attested_until = 1 WHERE hostname = ?", [lit["hostname"]])
    database.close()
    with where.start(), where.client() as node:
        before = page(node)
        since, document = before["revision"], before["document_serial"]
        set_lighthouse(where, lit["public_key"], ENDPOINTS)
        while where.json("lighthouse", "list")[0]["attested_until"] < "2000":
            since = page(node, since, document, wait=60)["revision"]
        expect(len(lighthouses_in(node.tell(f"join {NODE}"))), 1, "the lighthouses that a node believes")


def test_a_backup_has_the_lighthouses():
    """After the loss of the machine every node would lose its relays."""
    where = make_site()
    file = where.folder / "backup"
    with where.start(), where.client() as node:
        enrol(where, node, NODE)
        lit = enrol(where, node, LIGHTHOUSE)
        set_lighthouse(where, lit["public_key"], ENDPOINTS)
        where.admin("backup", file)
    where.admin("restore", file, "--overwrite")
    with where.start(), where.client() as node:
        expect(where.json("lighthouse", "list")[0]["endpoints"], ENDPOINTS, "the endpoints after restoring")
        node.tell(f"join {LIGHTHOUSE}")
        (peer,) = lighthouses_in(node.tell(f"join {NODE}"))
        expect(peer["endpoints"], ENDPOINTS, "the endpoints that a node is told")


def test_bad_input_is_refused():
    """A typo would send every node to somebody else's machine, or round in a circle."""
    where = make_site()
    inside = f"[{org().prefix.removesuffix('::/48')}::1]:51820"
    with where.start(), where.client() as node:
        lit = enrol(where, node, LIGHTHOUSE)
    name = lit["overlay_address"]
    expect_failure(where, ("lighthouse", "set", name), 2, "--endpoint is missing")
    expect_failure(where, ("lighthouse", "set", "--endpoint", ENDPOINTS[0]), 2, "NODE is missing")
    for endpoint in ("lh1.example.org:51820", "127.0.0.1:51820", "[fe80::1]:51820", "[::]:51820", "203.0.113.5:0", ""):
        expect_failure(where, ("lighthouse", "set", name, "--endpoint", endpoint), 2)
    expect_failure(where, ("lighthouse", "set", name, "--endpoint", inside), 2, "inside the overlay")
    twice = ("--endpoint", ENDPOINTS[0], "--endpoint", ENDPOINTS[0])
    expect_failure(where, ("lighthouse", "set", name, *twice), 2, "twice")
    many = [word for i in range(9) for word in ("--endpoint", f"203.0.113.{i + 1}:51820")]
    expect_failure(where, ("lighthouse", "set", name, *many), 2, "more than 8")
    for verb in (("set", "nobody", "--endpoint", ENDPOINTS[0]), ("unset", "nobody")):
        expect_failure(where, ("lighthouse", *verb), 8, "nobody")
    where.admin("node", "revoke", name)
    expect_failure(where, ("lighthouse", "set", name, "--endpoint", ENDPOINTS[0]), 8)
    expect(where.json("lighthouse", "list"), [], "the lighthouses")
