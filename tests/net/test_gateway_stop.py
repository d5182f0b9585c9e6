"""A gateway that is told to end: it finishes what has begun, and does not wait for ever.

    nodes ── 127.0.0.1:8443 ── fortros-gateway (Manage=no) ── SQLite or etcd
"""

import json
import signal
import tempfile

from lib.etcd import Cluster
from lib.gateway import Site, expect
from lib.held import held, other_threads, wait_for_end

TIME_LIMIT_S = 120


def folder():
    return tempfile.mkdtemp(prefix="stop.")


def test_who_waits_for_news_is_answered_when_the_gateway_ends():
    """Every update would cost each node a broken connection, and the gateway all of its grace."""
    site = Site(folder())
    with site.start() as server, site.client() as node:
        expect(node.tell(f"enroll 1 {site.invite()}")["status"], 200, "an enrolment")
        page = json.loads(node.tell("get 1 /v1/members?since=0&document=0")["body"])
        node.say(f"get 1 /v1/members?since={page['revision']}&document={page['document_serial']}&wait=300")
        while site.metrics()["fortros_gateway_feed_pollers"] == 0:
            pass
        server.process.send_signal(signal.SIGTERM)
        told = node.hear()
        expect((told.get("status"), told.get("proved")), (204, True), f"what it is told, {told}")
        expect(server.stop(), 0, "the exit status")


def test_while_etcd_says_nothing_a_gateway_ends():
    """It would be killed after a minute and a half, as one that has failed."""
    with Cluster(folder()) as cluster:
        site = Site(folder(), etcd=cluster.settings)
        invite = site.invite("--uses", "9")
        with site.start() as server, site.client() as first, site.client() as second:
            first.tell("connect"), second.tell("connect")
            with cluster.frozen(0):
                first.say(f"enroll 1 {invite}")
                second.say(f"enroll 2 {invite}")
                while "registry: the gateway is waiting" not in site.ask_as_operator("/readyz")[2]:
                    pass
                expect(server.stop(), 0, "the exit status")
        assert "event=stop-failed" not in server.log, server.log


def test_a_step_that_does_not_end_is_left_behind():
    """A disk or a kernel that hangs would keep the gateway from ending, and with it a machine from going down."""
    site = Site(folder())
    with site.start() as server, site.client() as node:
        node.tell("connect")
        (desk,) = other_threads(server.process.pid)
        with held(desk):
            node.say("join 1")
            server.process.send_signal(signal.SIGTERM)
            server.wait_for("event=stop-failed")
            wait_for_end(desk)
        expect(server.process.wait(), 1, "the exit status")
