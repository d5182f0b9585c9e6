"""A gateway takes up new certificates while it serves: whoever is connected does not notice, and what
does not fit changes nothing.

    nodes ── 127.0.0.1:8443 ── fortros-gateway (Manage=no) ◀── SIGHUP
"""

import contextlib
import datetime
import json
import shutil
import signal
import ssl
import tempfile

from lib.gateway import Site, answers_in
from lib.org import certs, openssl

TIME_LIMIT_S = 180
MEMBER = 1
SUCCESSFUL = "fortros_gateway_last_reload_successful"


@contextlib.contextmanager
def serving():
    site = Site(tempfile.mkdtemp(prefix="reload."))
    with site.start() as server:
        yield site, server


def reload(server):
    """What the gateway says of it."""
    server.process.send_signal(signal.SIGHUP)
    return server.wait_for("event=reload")


def leaf(site):
    """The certificate that a new connection sees."""
    with site.connect() as tls:
        return tls.getpeercert(binary_form=True)


def on_disk(site):
    return ssl.PEM_cert_to_DER_cert(site.gateway.certificate.read_text(encoding="ascii").split("-----END")[0] +
                                    "-----END CERTIFICATE-----\n")


def refused(site, server, before):
    """The old set serves on, says so, and why is returned."""
    said = reload(server)
    assert "event=reload-failed" in said and "stay" in said, said
    assert leaf(site) == before
    assert site.metrics()[SUCCESSFUL] == 0
    assert site.ask_as_operator("/readyz")[0] == 200, "it serves as well as before"
    return said


def test_connections_go_on_and_new_ones_see_the_new_certificate():
    """A renewal would tear the whole organisation off its gateway at once."""
    with serving() as (site, server), site.client() as member, contextlib.ExitStack() as stack:
        assert member.tell(f"enroll {MEMBER} {site.invite()}")["status"] == 200
        page = json.loads(member.tell(f"get {MEMBER} /v1/members?since=0&document=0")["body"])
        at = f"since={page['revision']}&document={page['document_serial']}"
        member.say(f"get {MEMBER} /v1/members?{at}&wait=120")
        while site.metrics()["fortros_gateway_feed_pollers"] != 1:
            pass  # each asks the gateway itself; the test's own limit ends it
        halfway = stack.enter_context(site.connect())
        old = halfway.getpeercert(binary_form=True)
        halfway.sendall(b"GET /half")

        certs("renew-gateway", site.org.folder, site.home)
        assert on_disk(site) != old
        assert "event=reloaded" in reload(server)
        assert leaf(site) == on_disk(site) != old
        assert site.metrics()[SUCCESSFUL] == 1

        halfway.sendall(b"way HTTP/1.1\r\nHost: gateway\r\n\r\n")
        ((status, _, _),) = answers_in(halfway.recv(65536))
        assert status == 404
        with site.client() as node:
            newcomer = node.tell(f"enroll 2 {site.invite()}")
            assert newcomer["status"] == 200
        told = member.hear()
        assert told["proved"], told
        assert [entry["public_key"] for entry in json.loads(told["body"])["members"]] == [newcomer["public_key"]]
        assert member.tell(f"join {MEMBER}")["status"] == 200, "over the same connection"


def test_a_new_signer_signs_from_then_on():
    """A signer whose key may be stolen would sign until the next restart."""
    with serving() as (site, server), site.client() as node:
        assert node.tell(f"enroll {MEMBER} {site.invite()}")["status"] == 200
        before = json.loads(node.tell(f"get {MEMBER} /v1/members?since=0&document=0")["body"])
        certs("issue-signer", site.org.folder)
        for file in (site.org.signer, site.org.signer_key):
            shutil.copy(file, site.home)
        assert "event=reloaded" in reload(server)
        after = json.loads(node.tell(f"get {MEMBER} /v1/members?since=0&document=0")["body"])
        for what in ("signers", "document"):
            assert after[what] != before[what], what
        for what in ("members", "gateways"):
            assert after[what][0]["attestation"] != before[what][0]["attestation"], what
        assert after["revision"] == before["revision"], "nothing had to be written"
        told = node.tell(f"join {MEMBER}")
        assert (told["status"], told.get("bootstrap_problem")) == (200, ""), told


def test_what_does_not_fit_changes_nothing():
    """An administrator's slip would stop a gateway that served."""
    with serving() as (site, server), site.client() as node:
        assert node.tell(f"enroll {MEMBER} {site.invite()}")["status"] == 200
        before = leaf(site)
        good = {path: path.read_bytes() for path in site.home.iterdir() if path.is_file()}

        def mended():
            for path, content in good.items():
                path.write_bytes(content)

        site.gateway.certificate.write_text("garbage", encoding="ascii")
        assert "gateway.pem" in refused(site, server, before)
        mended()
        site.gateway.certificate.unlink()
        assert "gateway.pem" in refused(site, server, before)
        mended()
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", site.gateway.key)
        assert "is not its private key" in refused(site, server, before)
        mended()
        site.org.forge(site.gateway, begin=datetime.timedelta(days=-9), end=datetime.timedelta(days=-1))
        assert "expired" in refused(site, server, before)
        mended()
        site.org.forge(site.gateway, dns=["other.example.org"])
        refused(site, server, before)
        mended()
        another = site.org.gateway(site.folder / "another")
        for path in (another.certificate, another.key, another.wireguard_key):
            shutil.copy(path, site.home)
        assert "takes a restart" in refused(site, server, before)
        mended()
        (site.home / "signer.pem").write_bytes(good[site.home / "ca.pem"])
        refused(site, server, before)
        assert node.tell(f"join {MEMBER}")["status"] == 200
        mended()
        assert "event=reloaded" in reload(server)
        assert site.metrics()[SUCCESSFUL] == 1 and leaf(site) == before
