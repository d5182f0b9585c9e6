"""The attack matrix, third part: answers that are proved, and lie. The attacker holds everything of a gateway,
its WireGuard key included: what he says must still follow from what the node can check by itself."""

import base64
import copy
import functools
import json

from lib.attack import ATTACKER, HONEST, Boot, attacker, disbelieved, fresh, world
from lib.discovery import honest_org, rogue_org
from lib.org import openssl
from lib.rogue import encode


def lying(change, words, *settings, gateway=None):
    """An honest answer with one change is not believed, for its words."""
    stranger()

    def answer(asked):
        body = copy.deepcopy(asked.honest)
        asked.prove(200, change(body, asked) or body)

    with attacker(gateway or fresh(), answer=answer) as rogue:
        disbelieved(rogue, words, *settings)


def put(path, value):
    """A change: the member at this path becomes the value."""
    def change(body, _):
        *parents, last = path.split(".")
        for name in parents:
            body = body[int(name) if name.isdigit() else name]
        body[last] = value
    return change


@functools.cache
def stranger():
    """A key of somebody else, and the overlay address that follows from it, as an honest gateway tells them."""
    told = []

    def answer(asked):
        told.append(asked.honest)
        return "cut"

    with attacker(fresh(), answer=answer), Boot(ATTACKER) as boot:
        boot.gave_up()
    return told[0]["node"]


def peer_of(asked, role="node", **bent):
    """The stranger as an attested peer."""
    return {"public_key": stranger()["public_key"], "overlay_address": stranger()["overlay_address"], "role": role,
            "endpoints": ["203.0.113.77:51820"], "attestation": asked.attest(stranger()["public_key"], role)} | bent


def with_peer(**bent):
    def change(body, asked):
        body["peers"].append(peer_of(asked, **bent))
    return change


# --- who the node is -------------------------------------------------------------------------------

def test_an_honest_answer_with_a_peer():
    """Every test below would pass with an agent that believes nobody."""
    stranger()

    def answer(asked):
        with_peer()(asked.honest, asked)
        asked.prove(200, asked.honest)

    with attacker(fresh(), answer=answer), Boot(ATTACKER) as boot:
        boot.enrolled()


def test_an_address_that_does_not_follow_from_the_key():
    """A node would be given the address of another, and get its packets."""
    lying(put("node.overlay_address", stranger()["overlay_address"]),
          "the overlay address does not follow from the node's key")
    lying(put("node.overlay_address", "2001:db8::1"), "the overlay address does not follow from the node's key")


def test_the_answer_to_another_node():
    """What the gateway has said to one would do for all."""
    lying(lambda body, asked: body["node"].update(stranger()), "the answer is for another node")
    lying(put("node.public_key", stranger()["public_key"]), "the answer is for another node")


def test_an_attestation_of_another_key_or_role():
    """A node could pose as a lighthouse, which relays for everyone."""
    words = "this node's attestation is for another key or role"
    lying(put("node.role", "gateway"), words)
    lying(lambda body, asked: body["node"].update(attestation=asked.attest(stranger()["public_key"], "node")), words)


def test_a_node_without_attestation():
    """Its peers would all refuse it, and nobody would know why."""
    lying(put("node.attestation", ""), "attestation has a wrong size")


def test_the_prefix_changes():
    """One gateway could renumber the org, or move a node into another."""
    gateway = fresh()
    settings = gateway.folder / "org.conf"
    text = settings.read_text(encoding="ascii").replace(honest_org().prefix, "fd00:1234:5678::/48")
    settings.write_text(text, encoding="ascii")
    lying(lambda body, _: None, f"the answer changes the organisation's overlay prefix: {honest_org().prefix} to fd00:",
          "[Organisation]", f"Prefix={honest_org().prefix}", gateway=gateway)


# --- its peers -------------------------------------------------------------------------------------

def test_a_peer_without_attestation():
    """A gateway that was broken into could put anybody into the overlay."""
    lying(with_peer(attestation=""), "attestation has a wrong size")


def test_a_peer_that_is_attested_as_something_else():
    """A lighthouse has the whole overlay as its allowed IPs: a node that passes for one has everybody's packets."""
    words = "a peer's attestation is for another key or role"
    for role in ("lighthouse", "gateway"):
        lying(lambda body, asked, role=role: with_peer(attestation=asked.attest(stranger()["public_key"], "node"),
                                                       role=role)(body, asked), words)
    lying(lambda body, asked: with_peer(attestation=body["peers"][0]["attestation"])(body, asked), words)


def test_a_peer_with_an_altered_attestation():
    """An attestation that is not checked is a wish."""
    def change(body, asked):
        text = asked.attest(stranger()["public_key"], "node")
        with_peer(attestation=("A" if text[150] != "A" else "B").join((text[:150], text[151:])))(body, asked)
    lying(change, "signature")


def test_a_peer_at_the_address_of_another():
    """It would get the packets that are meant for the other."""
    lying(lambda body, asked: with_peer(overlay_address=body["peers"][0]["overlay_address"])(body, asked),
          "a peer's overlay address does not follow from its key")


def test_a_peer_twice():
    """Two entries of one peer have the second one's endpoints checked by nobody."""
    lying(lambda body, _: body["peers"].append(body["peers"][0]), "the answer names a peer twice")


def test_the_node_as_its_own_peer():
    """It would send its own packets round for ever."""
    def change(body, _):
        me = body["node"]
        body["peers"].append({name: me[name] for name in ("public_key", "overlay_address", "role", "attestation")}
                             | {"endpoints": ["203.0.113.77:51820"]})
    lying(change, "the answer names this node as its own peer")


def test_without_the_answering_gateway():
    """The node would have no way back to who has admitted it."""
    words = "the answering gateway is not among the peers that it names"
    lying(put("peers", []), words)
    lying(put("peers.0.endpoints", []), words)


def test_endpoints_inside_the_overlay():
    """The tunnel would be sent through itself."""
    inside = honest_org().prefix.removesuffix("::/48") + "::7"
    lying(put("peers.0.endpoints", [f"[{inside}]:51820"]), "inside the overlay")
    lying(with_peer(endpoints=["203.0.113.77:51820", f"[{inside}]:51820"]), "inside the overlay")


def test_endpoints_that_are_no_hosts():
    """A gateway could aim nodes at their own services, or at everybody in the room."""
    for bad in ("127.0.0.1:51820", "[::1]:51820", "224.0.0.1:51820", "[ff02::1]:51820", "255.255.255.255:51820",
                "0.0.0.0:51820", "[::]:51820"):
        lying(with_peer(endpoints=[bad]), "not an address of a host")
    for bad in ("203.0.113.77:0", "203.0.113.77", "gateway.example.org:51820", "[fe80::1%lo]:51820",
                "[::ffff:127.0.0.1]:51820", ""):
        lying(with_peer(endpoints=[bad]), "holds something that is not ADDRESS:PORT")


# --- who vouches -----------------------------------------------------------------------------------

def signer_der(org):
    out = world().net.folder / "signer.der"
    openssl("x509", "-in", org.signer, "-outform", "DER", "-out", out)
    return out.read_bytes()


def test_signers_that_the_ca_does_not_vouch_for():
    """Who makes a signer of his own makes members of his own."""
    lying(put("org.signers", []), "unknown signer")
    lying(put("org.signers", [encode(signer_der(rogue_org()))]), "not signed by the pinned organisation CA")
    lying(put("org.signers", [encode(b"no certificate")]), "signer")
    leaf = world().net.folder / "leaf.der"
    openssl("x509", "-in", world().site.gateway.certificate, "-outform", "DER", "-out", leaf)
    lying(put("org.signers", [encode(leaf.read_bytes())]), "signer")
    lying(lambda body, _: body["org"].update(signers=body["org"]["signers"] * 9), "signers")


def test_an_org_document_that_nobody_has_signed():
    """A gateway could change the policy of every node, or hide who is revoked."""
    lying(put("org.document", ""), "org document has an unknown format")

    def altered(body, _):
        data = bytearray(base64.b64decode(body["org"]["document"]))
        data[30] ^= 1
        body["org"]["document"] = encode(bytes(data))
    lying(altered, "org document's signature is wrong")
    lying(put("org.domain", "example.net"), "not that of the org document")


def test_a_time_outside_the_certificates():
    """A gateway could set the clocks of its nodes back to when a stolen certificate was good, or far ahead."""
    lying(put("time", 0), "before its own certificate chain begins")
    lying(put("time", 253402300799), "after its own certificate chain has ended")
    lying(put("time", -1), "time")
    lying(put("time", 2**63 - 1), "time")


# --- how much, and in which form -------------------------------------------------------------------

def test_100000_peers():
    """A small machine would be busy until its budget is over, or out of memory."""
    lying(lambda body, _: body["peers"].extend([{}] * 100_000), "a body of more than 256 KiB")
    lying(lambda body, _: body["peers"].extend([{}] * 50_000), "has too many values")
    least = {"role": "node", "overlay_address": stranger()["overlay_address"], "public_key": stranger()["public_key"]}
    lying(lambda body, _: body["peers"].extend([least] * 512), "'peers' has more than 512 elements")


def test_deep_json():
    """A parser that recurses would run out of stack."""
    for depth in (9, 1_000, 40_000):
        lying(lambda body, _, depth=depth: b'{"version":1,"x":' + b"[" * depth + b"]" * depth + b"}", "deep")
        lying(lambda body, _, depth=depth: b'{"x":' * depth + b"1" + b"}" * depth, "deep")
    lying(lambda body, _: b"[" * 250_000, "deep")


def test_what_is_no_json():
    """Half of an answer, or two in one, would be read by each reader in its own way."""
    whole = lambda body: json.dumps(body).encode()
    for change in (lambda body, _: b"no JSON", lambda body, _: whole(body)[:-1], lambda body, _: whole(body) + b"{}",
                   lambda body, _: whole(body).replace(b'"version"', b'"version": 1, "version"', 1),
                   lambda body, _: whole(body).replace(b'"version": 1', b'"version": 1e400', 1),
                   lambda body, _: whole(body).replace(b'"version": 1', b'"version": "\\ud800"', 1),
                   lambda body, _: whole(body).replace(b'"version": 1', b'"version": "\xff"', 1),
                   lambda body, _: b"\0" * 1000):
        lying(change, "JSON")
    lying(put("version", 2), "version")
    lying(lambda body, _: b"[]", "answer")


def test_names_that_are_none():
    """What a gateway says is shown on consoles and written into files of the real root."""
    lying(put("node.hostname", "a\u001b[31mb"), "hostname")
    lying(put("node.hostname", "../../etc/passwd"), "hostname")
    lying(put("org.domain", "a b"), "domain")
    lying(put("node.hostname", "a" * 300), "hostname")


def test_a_spoilt_bootstrap_set_costs_only_the_fast_start():
    """One bad set would keep out every node that has just been admitted."""
    def answer(asked):
        asked.prove(200, asked.honest | {"bootstrap": "AAAA"})

    with attacker(fresh(), answer=answer), Boot(ATTACKER) as boot:
        boot.process.wait_for("the next boot has no fast start")
        boot.enrolled()


# --- refusals --------------------------------------------------------------------------------------

def test_refusals_of_one_gateway_that_lies():
    """One gateway that was broken into must not keep a node from the others, but for a revocation."""
    for status, error, words in ((400, "bad-request", "bad-request: a reason"), (404, "?", "bad-request: a reason"),
                                 (401, "invite-invalid", "invite-invalid: a reason"), (409, "address-taken", ""),
                                 (500, "?", "bad-request: a reason"), (299, "?", "bad-request: a reason")):
        body = {"error": error, "message": "a reason"}
        with attacker(fresh(), answer=lambda asked: asked.prove(status, body)) as rogue, Boot(ATTACKER, HONEST) as boot:
            assert error == "address-taken" or words in boot.gave_up()  # that one asks for another key first
            boot.enrolled()
        assert rogue.asked[0].proof_is_right
