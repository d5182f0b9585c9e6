"""The attack matrix, second part: who holds a gateway's certificate and TLS key, and not its WireGuard key. He
is authenticated by TLS; he must be believed nothing, and must learn no invite."""

import base64
import functools
import json
import re
import ssl
import tempfile

from lib.attack import ATTACKER, HONEST, PATIENCE, UNTRUSTED, Boot, attacker, disbelieved, fresh, world
from lib.discovery import honest_org
from lib.gateway import Site, answers_in, read_all

NO_PROOF = "the answer does not prove possession of the gateway's WireGuard key"
WRONG_PROOF = "the answer's proof of the gateway's WireGuard key is wrong"


@functools.cache
def another_gateway():
    return honest_org().gateway(world().net.folder / "another")


def thief():
    """The right leaf and its TLS key, beside a WireGuard key of the thief's own."""
    stolen = fresh()
    stolen.wireguard_key.write_bytes(another_gateway().wireguard_key.read_bytes())
    return stolen


def honest_gateway(request):
    """What the honest gateway answers to these bytes over a TLS connection of the attacker's own."""
    context = ssl.create_default_context(cafile=honest_org().ca)
    plain = world().router.socket()
    plain.connect((HONEST, 443))
    with context.wrap_socket(plain, server_hostname=honest_org().gateway_name) as tls:
        tls.sendall(request)
        return read_all(tls)


def node_of(request):
    key, = re.findall(rb"^Fortros-Node: (.*)\r$", request, re.MULTILINE)
    return key


# --- what he may answer ----------------------------------------------------------------------------

def test_another_wireguard_key():
    """The leaf names a key that is not the kernel's: packets would go to nobody, or to a thief."""
    with attacker(thief(), answer=lambda asked: asked.prove(200, asked.honest)) as rogue:
        disbelieved(rogue, WRONG_PROOF)
        assert not rogue.asked[0].proof_is_right
        with Boot(ATTACKER, settings=[PATIENCE, "[Failure]", "TotalTimeout=2s"]) as boot:
            assert boot.process.process.wait(60) == UNTRUSTED


def test_no_wireguard_key():
    """A stolen TLS key alone must not make members, whatever is answered with it."""
    for status in (200, 202, 401, 403, 409, 500, 503):
        def answer(asked, status=status):
            body = json.dumps(asked.honest) if status == 200 else '{"error":"revoked","message":"go"}'
            asked.send(f"HTTP/1.1 {status} Words\r\nContent-Length: {len(body)}\r\nRetry-After: 3600\r\n\r\n{body}".encode())

        with attacker(thief(), answer=answer) as rogue:
            disbelieved(rogue, NO_PROOF)


def test_proofs_that_are_none():
    """A proof that is read carelessly proves anything."""
    zeros = base64.b64encode(bytes(32)).decode()
    for headers in (["Fortros-Answer: "], ["Fortros-Answer: " + zeros], ["Fortros-Answer: " + zeros[:-1]],
                    ["Fortros-Answer: " + zeros + zeros], ["Fortros-Answer: %s%s"]):
        with attacker(thief(), answer=lambda asked: asked.prove(200, asked.honest, *headers)) as rogue:
            disbelieved(rogue, WRONG_PROOF)


def test_two_proofs():
    """Of two, a careless reader takes the one, and another the other."""
    def answer(asked):
        body = json.dumps(asked.honest).encode()
        asked.prove(200, body, "Fortros-Answer: " + base64.b64encode(bytes(32)).decode(),
                    "Fortros-Answer: " + asked.proof(200, body))

    with attacker(fresh(), answer=answer) as rogue:
        disbelieved(rogue, NO_PROOF)


def test_a_proof_of_another_answer():
    """Who can alter what an honest gateway says would be as good as the gateway."""
    changes = [
        lambda asked, body: asked.http(body + b" ", "Fortros-Answer: " + asked.proof(200, body)),
        lambda asked, body: asked.http(body, "Fortros-Answer: " + asked.proof(403, body)),
        lambda asked, body: asked.http(body, "Retry-After: 60", "Fortros-Answer: " + asked.proof(200, body)),
        lambda asked, body: asked.http(body, "Fortros-Answer: " + asked.proof(200, body, 60)),
    ]
    for change in changes:
        def answer(asked, change=change):
            asked.send(change(asked, json.dumps(asked.honest).encode()))

        with attacker(fresh(), answer=answer) as rogue:
            disbelieved(rogue, WRONG_PROOF)


def test_an_answer_of_another_connection():
    """Whoever has kept an old answer could play it for ever: a revoked node, or one with an old prefix."""
    kept = []

    def answer(asked):
        kept.append(asked.http(asked.honest))
        asked.send(kept[0])

    with attacker(fresh(), answer=answer) as rogue:
        with Boot(ATTACKER) as boot:
            boot.enrolled()
        first = node_of(rogue.asked[0].request)
        rogue.asked.clear()
        rogue.received.clear()
        # The same key: another connection, and what is drawn for each request.
        disbelieved(rogue, WRONG_PROOF, keep_key=True)
        assert node_of(rogue.asked[0].request) == first


# --- what he may learn -----------------------------------------------------------------------------

def test_the_thief_learns_no_invite():
    """An enrolling node would hand its invite to whoever has stolen a TLS key, and he would spend it."""
    with attacker(thief(), answer=lambda asked: "cut") as rogue, Boot(ATTACKER, HONEST) as boot:
        boot.gave_up()
        boot.enrolled()
    request, = (asked.request for asked in rogue.asked)
    body = json.loads(request.partition(b"\r\n\r\n")[2])
    sealed = base64.b64decode(body["sealed_invite"])
    secret = boot.invite.removeprefix("fortros-invite-v1-")
    assert request.startswith(b"POST /v1/enroll ") and len(sealed) == 12 + len(boot.invite) + 16
    for form in (secret.encode(), base64.b64encode(secret.encode()).rstrip(b"="), secret.encode().hex().encode(),
                 base64.urlsafe_b64decode(secret + "==")):
        assert form not in request and form not in sealed
    assert set(body) == {"version", "boot_id", "agent", "sealed_invite"}, body


def test_two_nodes_seal_one_invite_differently():
    """Who sees one invite twice would know it for the same, and see both through each other."""
    with attacker(thief(), answer=lambda asked: asked.send(b"no HTTP\r\n\r\n")) as rogue:
        for _ in range(2):
            with Boot(ATTACKER) as boot:
                boot.gave_up()
    first, second = (json.loads(asked.request.partition(b"\r\n\r\n")[2])["sealed_invite"] for asked in rogue.asked[:2])
    assert first[:16] != second[:16] and first[16:40] != second[16:40]


def refused_by_the_honest_gateway(request):
    (status, headers, _), = answers_in(honest_gateway(request))
    assert status == 401 and "fortros-answer" not in headers, (status, headers)


def used_invites():
    return {invite["id"]: invite["used"] for invite in world().site.json("invite", "list")}


def test_a_request_replayed():
    """Who has recorded all of a connection could enrol its key again, or spend its invite for another."""
    # Made for the honest gateway's own leaf: nothing is wrong with it but the connection.
    with attacker(relay_of_honest(), answer=lambda asked: "cut") as rogue, Boot(ATTACKER) as boot:
        boot.gave_up()
    recorded = rogue.asked[0].request
    before = used_invites()
    refused_by_the_honest_gateway(recorded)
    # Nor with the proof, the key or the invite of it in a request of his own.
    refused_by_the_honest_gateway(recorded.replace(b"/v1/enroll", b"/v1/join"))
    head, _, body = recorded.partition(b"\r\n\r\n")
    changed = body.replace(b'"version":1', b'"version":2')
    refused_by_the_honest_gateway(head + b"\r\n\r\n" + changed)
    assert used_invites() == before
    with Boot(HONEST, keep_key=True) as boot:
        boot.enrolled()


def test_a_members_request_replayed():
    """Who has recorded a member's request, with a stolen TLS key, could join as the node."""
    site = Site(tempfile.mkdtemp(prefix="replay."))
    with site.start(), site.client() as node:
        assert node.tell(f"enroll 1 {site.invite()}")["status"] == 200
        assert node.tell("join 1")["status"] == 200
        answer = node.tell("replay")
        assert (answer["status"], answer["proved"]) == (401, False), answer


def test_a_request_relayed():
    """A machine in the middle with a stolen TLS key would sit between each node and its org."""
    relayed = []

    def relay(asked):
        relayed.append(honest_gateway(asked.request))
        asked.send(relayed[-1])

    with attacker(relay_of_honest(), answer=relay) as rogue:
        disbelieved(rogue, NO_PROOF)
    (status, headers, body), = answers_in(relayed[0])
    assert status == 401 and "fortros-answer" not in headers
    assert json.loads(body)["error"] == "proof-invalid"


def relay_of_honest():
    """The very leaf and TLS key of the honest gateway: only the WireGuard key is missing."""
    relay = thief()
    relay.certificate.write_bytes(world().site.gateway.certificate.read_bytes())
    relay.key.write_bytes(world().site.gateway.key.read_bytes())
    return relay
