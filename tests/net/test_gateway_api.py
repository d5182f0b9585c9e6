"""The described API held against the gateway that runs, by validators that know nothing of either.

    nodes ── 127.0.0.1:8443 ── fortros-gateway (Manage=no) ── SQLite        agent/protocol/enrolment.yaml
"""

import contextlib
import functools
import ipaddress
import json
import os
import pathlib
import sqlite3
import tempfile
import urllib.parse

import openapi_spec_validator
import yaml
from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse

from lib.gateway import Site

FILE = pathlib.Path(__file__).resolve().parents[2] / "agent/protocol/enrolment.yaml"
TIME_LIMIT_S = 240
WAITERS = 64  # that one invite may have
MEMBER, REVOKED, NEWCOMER, UNKNOWN, WAITER, LIGHTHOUSE = 1, 2, 3, 4, 5, 6
HOST = "https://gateway.example.org"
BOOT_ID = "0123456789abcdef0123456789abcdef"
# What is refused before anybody looks at the target, by what is sent: the same for every operation.
EDGE = {"411": "Transfer-Encoding: chunked\r\n", "413": "Content-Length: 40000\r\n",
        "415": "Content-Length: 2\r\nContent-Encoding: gzip\r\n", "431": f"Fill: {'x' * 9000}\r\nContent-Length: 2\r\n",
        "505": "Content-Length: 2\r\n"}


@functools.cache
def description():
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


@functools.cache
def world():
    site = Site(tempfile.mkdtemp(prefix="api."))
    server = site.start()
    return site, server


def operations():
    return [(path, method) for path, item in description()["paths"].items() for method in item]


def edge_answers(path, method):
    """What strangers are told: {status: (headers, body)}."""
    site, _ = world()
    told = {}
    for status, lines in EDGE.items():
        version = "1.0" if status == "505" else "1.1"
        text = f"{method.upper()} {path} HTTP/{version}\r\nHost: {site.org.gateway_name}\r\n{lines}\r\n{{}}"
        ((got, headers, body),) = site.ask(text.encode())
        told[str(got)] = (headers, body)
    other = "PUT"
    text = f"{other} {path} HTTP/1.1\r\nHost: {site.org.gateway_name}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
    ((got, headers, body),) = site.ask(text.encode())
    told[str(got)] = (headers, body)
    return told


REQUESTS = []  # what nodes have sent, and how it was answered: (method, target, headers, body, status)


def raw(node, line):
    told = node.tell(f"raw {line}")
    status = str(told["status"])
    head, _, body = told["sent"].partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    REQUESTS.append((method, target, dict(line.split(": ", 1) for line in lines), body.encode(), status))
    return status, (told["headers"], told["body"].encode())


@contextlib.contextmanager
def broken_registry(site):
    """What a gateway would find on a disk that fails."""
    database = sqlite3.connect(site.database, isolation_level=None, timeout=30)
    database.execute("ALTER TABLE nodes RENAME TO gone")
    try:
        yield
    finally:
        database.execute("ALTER TABLE gone RENAME TO nodes")
        database.close()


def squat(site, address):
    """The registry holds this address as another node's: no two keys are known that really collide."""
    database = sqlite3.connect(site.database, timeout=30)
    columns = [row[1] for row in database.execute("PRAGMA table_info(nodes)")]
    values = {"key": "?", "overlay_address": "?", "revision": "(SELECT revision + 1 FROM organisation)"}
    database.execute(f"INSERT INTO nodes ({', '.join(columns)}) SELECT "
                     f"{', '.join(values.get(column, column) for column in columns)} FROM nodes LIMIT 1",
                     [value for column in columns for value in
                      {"key": [os.urandom(31) + bytes(1)],
                       "overlay_address": [ipaddress.ip_address(address).packed]}.get(column, [])])
    database.execute("UPDATE organisation SET revision = revision + 1")
    database.commit()
    database.close()


@functools.cache
def answers():
    """(path, method) → {status: (headers, body)}, all of them from a gateway that runs."""
    site, _ = world()
    told = {operation: edge_answers(*operation) for operation in operations()}
    enroll, join, members = (told["/v1/enroll", "post"], told["/v1/join", "post"], told["/v1/members", "get"])
    with site.client() as node:
        enroll.update([raw(node, f"enroll {MEMBER} {site.invite()}"),
                       raw(node, f"enroll {REVOKED} {site.invite()}"),
                       raw(node, f"enroll {UNKNOWN} {'fortros-invite-v1-' + 'A' * 32}"),
                       raw(node, f"enroll {WAITER} {site.invite(approval='yes')}"),
                       raw(node, f"post {NEWCOMER} /v1/enroll {{}}")])
        revoked = node.tell(f"key {REVOKED}")["public_key"]
        site.admin("node", "revoke", revoked)
        enroll.update([raw(node, f"enroll {REVOKED} {site.invite()}")])
        waits = node.tell(f"enroll {WAITER} {site.invite(approval='yes')}")
        squat(site, waits["overlay_address"])
        enroll.update([raw(node, f"enroll {WAITER} {site.invite()}")])
        leaked = site.invite("--uses", "100", approval="yes")
        enroll.update([raw(node, f"enroll {seed} {leaked}") for seed in range(100, 100 + WAITERS + 1)])
        lighthouse = node.tell(f"enroll {LIGHTHOUSE} {site.invite()}")["public_key"]
        site.admin("lighthouse", "set", lighthouse, "--endpoint", "203.0.113.5:51820", "--endpoint", "[2001:db8::5]:51820")
        join.update([raw(node, f"join {MEMBER}"), raw(node, f"join {REVOKED}"), raw(node, f"join {UNKNOWN}"),
                     raw(node, f"post {MEMBER} /v1/join {{}}")])
        everything = raw(node, f"get {MEMBER} /v1/members")
        page = json.loads(everything[1][1])
        at = f"since={page['revision']}&document={page['document_serial']}"
        members.update([everything, raw(node, f"get {MEMBER} /v1/members?{at}"), raw(node, f"get {REVOKED} /v1/members"),
                        raw(node, f"get {UNKNOWN} /v1/members"), raw(node, f"get {MEMBER} /v1/members?since=x")])
        invite = site.invite()
        with broken_registry(site):
            enroll.update([raw(node, f"enroll {NEWCOMER} {invite}")])
            join.update([raw(node, f"join {MEMBER}")])
            members.update([raw(node, f"get {MEMBER} /v1/members")])
    return told


def test_the_description_is_openapi():
    """No other implementation could be made from it."""
    openapi_spec_validator.validate(description())


def test_every_answer_is_as_described():
    """Whoever writes another node or gateway by the description would not be understood."""
    api = OpenAPI.from_dict(description())
    for (path, method), told in answers().items():
        for status, (headers, body) in told.items():
            request = MockRequest(HOST, method, path, headers={"Fortros-Node": "A" * 43, "Fortros-Proof": "A" * 43 + "="},
                                  data=b"{}", content_type="application/json")
            response = MockResponse(body, status_code=int(status), headers=headers,
                                    content_type=headers.get("content-type", ""))
            print(method, path, status)
            api.validate_response(request, response)


def request_of(method, target, headers, body):
    path, _, query = target.partition("?")
    return MockRequest(HOST, method.lower(), path, args=dict(urllib.parse.parse_qsl(query)), headers=headers,
                       data=body or None, content_type=headers.get("Content-Type", ""))


def is_described(api, request):
    try:
        api.validate_request(request)
    except OpenAPIError:
        return False
    return True


def test_every_request_of_a_node_is_as_described():
    """Whoever writes another gateway by the description would refuse our nodes."""
    api = OpenAPI.from_dict(description())
    answers()
    kinds = set()
    for method, target, headers, body, status in REQUESTS:
        print(method, target, status)
        request = request_of(method, target, headers, body)
        if status == "400":  # which is what the test itself has made
            assert not is_described(api, request), body
            continue
        api.validate_request(request)
        kinds.add((method, target.partition("?")[0]))
    assert kinds == {("POST", "/v1/enroll"), ("POST", "/v1/join"), ("GET", "/v1/members")}, kinds


def test_what_was_held_against_it_has_a_lighthouse():
    """The description of one would be held against nothing."""
    joined = json.loads(answers()["/v1/join", "post"]["200"][1])
    page = json.loads(answers()["/v1/members", "get"]["200"][1])
    for peers in (joined["peers"], page["members"]):
        assert [len(peer["endpoints"]) for peer in peers if peer["role"] == "lighthouse"] == [2], peers


def test_every_status_that_is_described_was_produced():
    """A promise that nobody has seen kept is none."""
    promised = {(method, path, status) for path, method in operations()
                for status in description()["paths"][path][method]["responses"]}
    kept = {(method, path, status) for (path, method), told in answers().items() for status in told}
    assert promised == kept, f"never seen: {sorted(promised - kept)}; not described: {sorted(kept - promised)}"
