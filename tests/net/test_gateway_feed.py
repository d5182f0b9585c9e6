"""The member feed, over real TLS: what has changed, as soon as it has, and to members only.

    nodes ── 127.0.0.1:8443 ── fortros-gateway (Manage=no) ── SQLite
"""

import base64
import functools
import gzip
import json
import tempfile
import time

from lib import storm
from lib.gateway import END_LIMIT_S, Site

TIME_LIMIT_S = 180
MEMBER, STRANGER = 1, 99
CROWD, CROWD_SEED = 450, 1000  # more than a page holds


@functools.cache
def world():
    """One site and one server for the whole file, and a member."""
    site = Site(tempfile.mkdtemp(prefix="feed."))
    server = site.start()
    with site.client() as node:
        assert node.tell(f"enroll {MEMBER} {site.invite()}")["status"] == 200
    return site, server


def site():
    return world()[0]


def ask(node, since=0, document=0, wait=None, seed=MEMBER, more=""):
    wait = "" if wait is None else f"&wait={wait}"
    told = node.tell(f"get {seed} /v1/members?since={since}&document={document}{wait}{more}")
    assert told["proved"], told
    return told


def pages(node, since=0):
    """Everything since then: keys → entries, keys that went, and where that leads to."""
    members, removed, document = {}, [], 0
    while True:
        told = ask(node, since, document)
        if told["status"] == 204:
            return members, removed, (since, document)
        assert told["status"] == 200, told
        page = json.loads(told["body"])
        members |= {entry["public_key"]: entry for entry in page["members"]}
        removed += page["removed"]
        since, document = page["revision"], page.get("document_serial", document)


def wait(node, line):
    """Asks, and returns when the gateway has the question and waits for news."""
    pollers = "fortros_gateway_feed_pollers"
    before = site().metrics()[pollers]
    node.say(line)
    while site().metrics()[pollers] == before:
        pass


def enrol(seed):
    with site().client() as other:
        told = other.tell(f"enroll {seed} {site().invite()}")
        assert told["status"] == 200, told
        return told


def test_a_member_learns_all_members_and_then_only_what_has_changed():
    """Every poll would cost as much as the first one, at ten thousand members."""
    with site().client() as node:
        members, _, (revision, document) = pages(node)
        key = node.tell(f"key {MEMBER}")["public_key"]
        assert members[key]["role"] == "node" and members[key]["attestation"], members
        new = enrol(2)
        page = json.loads(ask(node, revision, document)["body"])
        assert [entry["public_key"] for entry in page["members"]] == [new["public_key"]], page
        assert page["members"][0]["overlay_address"] == new["overlay_address"]
        assert "document" not in page and page["removed"] == [], page
        assert ask(node, page["revision"], document)["status"] == 204


def test_the_first_page_says_who_serves_and_what_the_org_says():
    """A node could not follow a change of policy, or a gateway that has moved."""
    with site().client() as node:
        page = json.loads(ask(node)["body"])
    (gateway,) = page["gateways"]
    assert gateway["public_key"] == site().gateway.wireguard_public
    assert gateway["endpoints"] == ["192.0.2.1:51820"] and gateway["attestation"]
    assert page["document"] and page["signers"] and page["document_serial"] >= 1


def test_who_waits_is_told_as_soon_as_somebody_has_enrolled():
    """A mesh would learn of a new neighbour minutes later."""
    with site().client() as node:
        _, _, (revision, document) = pages(node)
        wait(node, f"get {MEMBER} /v1/members?since={revision}&document={document}&wait=120")
        new = enrol(3)
        page = json.loads(node.hear()["body"])
        assert [entry["public_key"] for entry in page["members"]] == [new["public_key"]], page


def test_who_waits_is_told_of_a_revocation_and_of_the_document_that_names_it():
    """A thrown-out node would stay everybody's peer."""
    thrown_out = enrol(4)
    with site().client() as node:
        _, _, (revision, document) = pages(node)
        wait(node, f"get {MEMBER} /v1/members?since={revision}&document={document}&wait=120")
        site().admin("node", "revoke", thrown_out["overlay_address"])
        page = json.loads(node.hear()["body"])
        assert page["removed"] == [thrown_out["public_key"]] and page["members"] == [], page
        assert page["document_serial"] > document
        key = base64.b64decode(thrown_out["public_key"])
        assert key in base64.b64decode(page["document"])


def test_who_waits_and_is_revoked_is_told_so():
    """It would go on as if nothing had happened."""
    thrown_out = enrol(5)
    with site().client() as victim:
        first = json.loads(ask(victim, seed=5)["body"])
        at = f"since={first['revision']}&document={first['document_serial']}"
        wait(victim, f"get 5 /v1/members?{at}&wait=120")
        site().admin("node", "revoke", thrown_out["overlay_address"])
        told = victim.hear()
        assert (told["status"], told["proved"]) == (403, True), told


def test_a_wait_has_an_end():
    """A connection that something on the way has forgotten would be waited on for ever."""
    with site().client() as node:
        _, _, (revision, document) = pages(node)
        assert ask(node, revision, document, wait=1)["status"] == 204


def test_a_node_waits_once():
    """One member could fill the list of those who wait."""
    with site().client() as first, site().client() as second:
        _, _, (revision, document) = pages(first)
        line = f"get {MEMBER} /v1/members?since={revision}&document={document}&wait=120"
        wait(first, line)
        second.say(line)
        assert first.hear()["status"] == 204
        new = enrol(6)
        page = json.loads(second.hear()["body"])
        assert [entry["public_key"] for entry in page["members"]] == [new["public_key"]]


def test_who_has_gone_does_not_wait_any_more():
    """Connections that broke would be counted as nodes, and take the places of those that wait."""
    with site().client() as node:
        _, _, (revision, document) = pages(node)
        wait(node, f"get {MEMBER} /v1/members?since={revision}&document={document}&wait=300")
    deadline = time.monotonic() + END_LIMIT_S
    while site().metrics()["fortros_gateway_feed_pollers"] != 0:
        assert time.monotonic() < deadline, "it still waits"


def test_strangers_learn_nothing():
    """Anybody could list the org's nodes."""
    with site().client() as node:
        assert ask(node, seed=STRANGER)["status"] == 401
    head = f"GET /v1/members HTTP/1.1\r\nHost: {site().org.gateway_name}\r\nConnection: close\r\n\r\n"
    ((status, _, body),) = site().ask(head.encode())
    assert status == 401 and b"members" not in body, body


def test_what_is_not_understood_is_refused():
    """A typing mistake would be a poll without end."""
    with site().client() as node:
        for query in ("?since=x", "?since=-1", "?until=3", "?since", "x"):
            told = node.tell(f"get {MEMBER} /v1/members{query}")
            assert (told["status"], told["proved"]) == (400, True), (query, told)
        posted = node.tell(f"post {MEMBER} /v1/members {{}}")
        assert posted["status"] == 405, posted


def test_a_node_that_knows_more_than_the_gateway_begins_anew():
    """After a restored backup it would wait for a revision that comes in a year."""
    with site().client() as node:
        page = json.loads(ask(node, since=10**9)["body"])
        assert page["reset"] is True and page["members"], page


def test_after_a_restored_backup_everybody_begins_anew():
    """Who had been told of nodes that the backup does not know would keep them for ever."""
    with site().client() as node:
        members, _, (revision, document) = pages(node)
        site().admin("policy", "publish")
        page = json.loads(ask(node, revision, document)["body"])
        assert page["reset"] is True and page["members"], page
        again, _, (later, document) = pages(node)
        assert again.keys() == members.keys() and later > revision
        new = enrol(7)
        page = json.loads(ask(node, later, document)["body"])
        assert "reset" not in page, page
        assert [entry["public_key"] for entry in page["members"]] == [new["public_key"]], page


def test_many_members_come_in_pages_that_gzip_makes_smaller():
    """An answer would be longer than a node takes, or the whole org's wake-up cost twice the bytes."""
    invites = site().folder / "invites"
    invites.write_text(site().invite("--uses", str(CROWD)) + "\n", encoding="ascii")
    told = storm.run(site(), "enroll", nodes=CROWD, first=CROWD_SEED, patience=30, invites=invites)
    assert told["in"] == CROWD, told
    with site().client() as node:
        first = json.loads(ask(node)["body"])
        assert first["more"] is True and len(first["members"]) + len(first["removed"]) == 400
        members, _, _ = pages(node)
        assert len(members) > CROWD
        plain = ask(node)["body"].encode()
        packed = base64.b64decode(node.tell(f"get {MEMBER} /v1/members?since=0&document=0 gzip")["gzip"])
        assert json.loads(gzip.decompress(packed)) == json.loads(plain)
        assert len(packed) < len(plain) * 0.7, (len(packed), len(plain))
