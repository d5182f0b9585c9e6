"""The registry in etcd: what any registry promises, asked of real clusters, and what only a network can do
to it: lost answers, lost majorities, strangers who pose as a member."""

import base64
import contextlib
import json
import os
import select
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

from lib.etcd import Certificates, Cluster
from lib.gateway import ADDRESS, END_LIMIT_S, OUT, PROGRAM, Site, expect

TIME_LIMIT_S = 300
TAKES_S = 60
CONTRACT = OUT / "tests/net/registry-contract"
# The gateway answers from memory for 15 s after it has lost the cluster.
TRUST_LIMIT_S = 60
ASK_AGAIN_S = 0.2


def folder():
    return tempfile.mkdtemp(prefix="etcd.")


def ask_until(node, line, status):
    """Asks until the answer has this status; the answers before it."""
    before = []
    deadline = time.monotonic() + TRUST_LIMIT_S
    while (answer := node.tell(line)).get("status") != status:
        before.append(answer)
        assert time.monotonic() < deadline, f"{line}: never {status}, but {answer}"
        time.sleep(ASK_AGAIN_S)
    return before


def is_readable(source):
    return bool(select.select([source], [], [], 0)[0])


# --- the contract ---

def run_contract(cluster):
    environment = os.environ | {"FORTROS_ETCD": " ".join(cluster.endpoints)}
    done = subprocess.run([CONTRACT], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=TIME_LIMIT_S, check=False)
    print(done.stdout)
    expect(done.returncode, 0, "the contract's exit status")


def test_a_registry_in_etcd_keeps_the_promises_of_one_in_a_file():
    """A gateway's promises would depend on where its registry is."""
    with Cluster(folder()) as cluster:
        run_contract(cluster)


def test_and_so_does_one_in_three_members():
    """What holds with one member may not hold where three have to agree."""
    with Cluster(folder(), members=3) as cluster:
        run_contract(cluster)


# --- commands ---

def test_every_command_works_with_etcd():
    """An admin could see or revoke nothing where several gateways serve."""
    with Cluster(folder()) as cluster:
        site = Site(folder(), etcd=cluster.settings)
        with site.start() as server, site.client() as node:
            first = node.tell(f"enroll 1 {site.invite()}")
            expect(first["status"], 200, "an enrolment")
            expect(node.tell(f"enroll 2 {site.invite(approval='yes')}")["status"], 202, "one that has to wait")
            address = site.json("node", "waiting")[0]["overlay_address"]
            site.admin("node", "approve", address)
            expect(node.tell("join 2")["status"], 200, "the join of the approved")
            expect([invite["used"] for invite in site.json("invite", "list")], [1, 1], "the uses")
            expect(len(site.json("node", "list")), 2, "the nodes")
            site.admin("node", "revoke", first["public_key"])
            assert first["overlay_address"] in server.wait_for("event=node-removed")
            expect(node.tell("join 1")["status"], 403, "the join of the revoked")
            site.admin("policy", "set", "--sources", "cached")
            expect(site.json("policy", "show")["sources"], ["cached"], "the policy")
            site.admin("invite", "revoke", site.json("invite", "list")[0]["id"])
            expect(site.json("audit", "show", "--limit", "1")[0]["event"], "invite-revoked", "the newest entry")
            site.admin("audit", "verify", "--head", site.admin("audit", "verify").strip())
            expect(server.process.poll(), None, "whether the gateway ended")


# --- an answer that is lost ---

class Proxy:
    """Stands before a member and can lose the next answer to a transaction, which was done."""

    def __init__(self, port):
        self._target = port
        self.delay_s = 0  # of each request
        self._lose = threading.Event()
        self.lost = threading.Event()
        self._listener = socket.create_server((ADDRESS, 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def settings(self):
        return f"Endpoints=http://{ADDRESS}:{self._listener.getsockname()[1]}"

    def lose_next_answer(self):
        self.lost.clear()
        self._lose.set()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                member = socket.create_connection(("127.0.0.1", self._target))
                for one, other, answers in ((client, member, False), (member, client, True)):
                    threading.Thread(target=self._pass_on, args=(one, other, answers), daemon=True).start()

    def _pass_on(self, one, other, answers):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                if answers and self._lose.is_set() and b'"succeeded":true' in data:
                    self._lose.clear()
                    self.lost.set()
                    break
                if not answers:
                    time.sleep(self.delay_s)
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()


def test_what_was_done_and_its_answer_lost_is_done_once():
    """A node would spend two uses, or a command say no to what it has done."""
    with Cluster(folder()) as cluster, Proxy(2379) as proxy:
        site = Site(folder(), etcd=proxy.settings)
        expect(site.json("invite", "list"), [], "the invites of a registry that is made by asking")
        proxy.lose_next_answer()
        invite = site.invite("--uses", "3")
        assert proxy.lost.is_set(), "no answer was lost"
        with site.start() as server, site.client() as node:
            proxy.lose_next_answer()
            answer = node.tell(f"enroll 1 {invite}")
            assert proxy.lost.is_set(), "no answer was lost"
            expect(answer["status"], 200, "the enrolment")
            server.wait_for("event=enrolled")  # and not joined: it knows what it has done
        expect([entry["used"] for entry in site.json("invite", "list")], [1], "the uses")
        expect(len(site.json("node", "list")), 1, "the nodes")
        proxy.lose_next_answer()
        site.admin("node", "revoke", answer["public_key"])
        assert proxy.lost.is_set(), "no answer was lost"
        expect(site.json("policy", "show")["revocations"], "1", "the revocations")


# --- a slow line ---

def add_invites(cluster, count):
    """As many more of the one that there is, past the gateway: a registry that takes several answers."""
    def ask(what, **question):
        request = urllib.request.Request(f"{cluster.endpoints[0]}/v3/kv/{what}", json.dumps(question).encode())
        with urllib.request.urlopen(request, timeout=END_LIMIT_S) as answer:
            return json.load(answer)

    def packed(text):
        return base64.b64encode(text.encode()).decode()

    rows = ask("range", key=packed("/fortros"), range_end=packed("/fortros0"))["kvs"]
    (key, value), = ((base64.b64decode(row["key"]).decode(), json.loads(base64.b64decode(row["value"])))
                     for row in rows if b"/invite/" in base64.b64decode(row["key"]))
    hashes = [f"{number:064x}" for number in range(count)]
    ids = [digest[-len(value["id"]):] for digest in hashes]
    hashes = [own + digest[len(own):] for own, digest in zip(ids, hashes)]  # an id is its beginning
    writes = [{"request_put": {"key": packed(key.replace(value["id"], own)),
                               "value": packed(json.dumps(value | {"id": own, "hash": digest}))}}
              for own, digest in zip(ids, hashes)]
    for i in range(0, count, 100):
        assert ask("txn", success=writes[i:i + 100])["succeeded"]


def test_a_large_registry_is_read_over_a_slow_line():
    """Just a large organisation's gateway would never start again."""
    with Cluster(folder()) as cluster, Proxy(2379) as proxy:
        site = Site(folder(), etcd=proxy.settings)
        site.invite()
        add_invites(cluster, 3000)  # seven answers
        proxy.delay_s = 0.8
        with site.start():
            proxy.delay_s = 0
            expect(len(site.json("invite", "list")), 3001, "the invites")


# --- no majority ---

def test_without_a_majority_known_nodes_are_served_for_a_while_and_nothing_is_decided():
    """An outage of etcd would lock the fleet out at once; or a revoked node would be served for ever."""
    with Cluster(folder(), members=3) as cluster:
        site = Site(folder(), etcd=cluster.settings)
        invite = site.invite("--uses", "9")
        with site.start() as server, site.client() as node:
            expect(node.tell(f"enroll 1 {invite}")["status"], 200, "an enrolment")
            cluster.kill(0, 2)
            answer = node.tell(f"enroll 2 {invite}")
            expect((answer["status"], answer["refusal"], answer["proved"]), (503, "busy", True), "without a majority")
            assert answer["retry_after"] > 0, answer
            server.wait_for("event=request-failed")
            expect(node.tell("join 1")["status"], 200, "the join of a node that is known")
            expect(node.tell("join 2")["status"], 503, "the join of one that may be known by now")
            before = ask_until(node, "join 1", 503)
            expect({answer["status"] for answer in before}, {200}, "the joins before what is known was too old")

            status, _, error = site.run("invite", "list")
            assert status == 5 and "etcd could not serve this in time" in error, (status, error)
            cluster.start_together(0, 2)
            ask_until(node, "join 1", 200)
            expect(node.tell(f"enroll 2 {invite}")["status"], 200, "the enrolment, with a majority again")
            expect(server.process.poll(), None, "whether the gateway ended")


def test_a_gateway_that_comes_up_before_its_cluster_waits_for_it():
    """After a power cut the machine that is up first would stay out."""
    with Cluster(folder(), members=3) as cluster:
        site = Site(folder(), etcd=cluster.settings)
        site.invite()
        cluster.kill(0, 1, 2)
        early = subprocess.Popen([PROGRAM, "serve", "--config", site.settings], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        with early:
            try:
                assert any("event=waits-for-registry" in line for line in early.stderr)
                cluster.start_together(0, 1, 2)
                assert any("event=serving" in line for line in early.stderr)
            finally:
                early.kill()


def test_a_member_that_freezes_makes_no_gateway_deaf():
    """A revoked node would keep its tunnel for as long as one member hangs."""
    with Cluster(folder(), members=3) as cluster:
        site = Site(folder(), etcd=cluster.settings)
        invite = site.invite("--uses", "9")
        with site.start() as server, site.client() as node:
            for number in range(3):  # the gateway listens to one of them
                key = node.tell(f"enroll {number} {invite}")["public_key"]
                with cluster.frozen(number):
                    site.admin("node", "revoke", key)
                    server.wait_for("event=node-removed")
                    expect(node.tell(f"join {number}")["status"], 403, "the join of the revoked")


def test_while_etcd_says_nothing_operators_hear_what_is_wrong_and_nobody_is_dropped():
    """A supervisor would start a gateway anew for etcd's fault, and all who wait on it would come back at once."""
    with Cluster(folder()) as cluster:
        site = Site(folder(), etcd=cluster.settings)
        invite = site.invite("--uses", "9")
        with site.start() as server, site.client() as node, site.client() as poller:
            expect(poller.tell(f"enroll 1 {invite}")["status"], 200, "an enrolment")
            page = json.loads(poller.tell("get 1 /v1/members?since=0&document=0")["body"])
            poller.say(f"get 1 /v1/members?since={page['revision']}&document={page['document_serial']}&wait=50")
            while site.metrics()["fortros_gateway_feed_pollers"] == 0:
                pass
            with cluster.frozen(0), socket.create_connection((ADDRESS, site.port)) as idle:
                node.say(f"enroll 2 {invite}")
                # The gateway waits for etcd for seconds, and is asked meanwhile.
                while "registry: the gateway is waiting" not in (told := site.ask_as_operator("/readyz"))[2]:
                    assert not is_readable(node.process.stdout), f"the enrolment is answered, and readiness was {told}"
                expect(told[0], 503, "whether it is ready")
                expect(site.ask_as_operator("/healthz")[0], 200, "whether it lives")
                assert not is_readable(node.process.stdout), "all of that was said while etcd was waited for"
                assert not is_readable(idle), "who has said nothing yet was dropped"
                expect(node.hear()["status"], 503, "the enrolment")
            assert not is_readable(poller.process.stdout), "who waits for news was dropped"
            ask_until(node, f"enroll 2 {invite}", 200)
            expect(poller.hear()["status"], 200, "the news that was waited for")
            expect(server.process.poll(), None, "whether the gateway ended")


def test_while_etcd_says_nothing_a_stranger_is_refused_as_ever():
    """How long his answer takes would tell who is a member, and his requests would wait before those of nodes."""
    with Cluster(folder()) as cluster:
        site = Site(folder(), etcd=cluster.settings)
        with site.start(), site.client() as node, site.connect() as stranger:
            node.tell("connect")
            invite = site.invite()
            with cluster.frozen(0):
                node.say(f"enroll 1 {invite}")  # the gateway waits for etcd for seconds
                key = base64.urlsafe_b64encode(os.urandom(31) + b"\0").decode().rstrip("=")
                ((status, _, _),) = site.ask(
                    (f"POST /v1/join HTTP/1.1\r\nHost: {site.org.gateway_name}\r\nFortros-Node: {key}\r\n"
                     "Connection: close\r\nContent-Length: 2\r\n\r\n{}").encode(), stranger)
                expect(status, 401, "the answer to who proves nothing")
                assert not is_readable(node.process.stdout), "he was told when etcd had been waited for"
                node.hear()


# --- TLS ---

def tls_cluster(certificates, member):
    return Cluster(folder(), scheme="https", options=certificates.of_member(member))


def tls_settings(certificates, cluster):
    return f"{cluster.settings}\n{certificates.settings}"


def failure_of(settings):
    status, _, error = Site(folder(), etcd=settings).run("invite", "list")
    expect(status, 5, "the exit status")
    return error


def test_members_and_gateway_prove_themselves_to_one_another():
    """Who gets between would decide who is a member."""
    certificates, strangers = Certificates(folder()), Certificates(folder())
    with tls_cluster(certificates, certificates.member) as cluster:
        site = Site(folder(), etcd=tls_settings(certificates, cluster))
        with site.start(), site.client() as node:
            expect(node.tell(f"enroll 1 {site.invite()}")["status"], 200, "an enrolment")
        assert "certificate verify failed" in failure_of(tls_settings(strangers, cluster))
        assert "certificate" in failure_of(f"{cluster.settings}\nCA={certificates.ca}")
    with tls_cluster(certificates, certificates.elsewhere) as cluster:
        assert "certificate verify failed" in failure_of(tls_settings(certificates, cluster))
