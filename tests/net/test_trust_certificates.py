"""The attack matrix, first part: whose certificate a node believes. Each attacker holds real keys of a gateway
and shows another certificate; the whole agent meets him over a real network."""

import datetime
import ssl

from lib.attack import ATTACKER, Boot, attacker, forged, fresh, keys, refused, world
from lib.discovery import NAME, honest_org, rogue_org
from lib.org import Org, openssl

NOT_OURS = "the gateway's certificate is not signed by the pinned organisation CA"
SIGNER_USAGE = "2.25.229215062394218720325445078132029495471.1"
HOUR = datetime.timedelta(hours=1)


def refused_certificate(gateway, words):
    with attacker(gateway) as rogue:
        refused(rogue, words)


def chain(gateway, *certificates):
    """Shows more certificates behind its own."""
    with open(gateway.certificate, "a", encoding="ascii") as file:
        file.writelines(certificate.read_text(encoding="ascii") for certificate in certificates)
    return gateway


def accepted(gateway):
    """That what is refused elsewhere is refused for its fault alone."""
    with attacker(gateway, answer=lambda asked: asked.prove(200, asked.honest)), Boot(ATTACKER) as boot:
        boot.enrolled()


# --- whose signature -------------------------------------------------------------------------------

def test_a_sound_certificate():
    """Every test below would pass with an agent that believes nobody."""
    accepted(forged())


def test_self_signed():
    """Every captive portal has one."""
    gateway = fresh()
    openssl("req", "-x509", "-new", "-key", gateway.key, "-subj", "/CN=portal", "-days", "30",
            "-addext", f"subjectAltName=DNS:{NAME},URI:{gateway.wireguard_uri}",
            "-addext", "extendedKeyUsage=serverAuth", "-out", gateway.certificate)
    refused_certificate(gateway, NOT_OURS)


def test_another_ca_with_the_same_subject():
    """Anybody can make a CA of any name."""
    refused_certificate(forged(rogue_org()), NOT_OURS)


def test_another_ca_that_shows_the_real_one_beside_it():
    """The pinned CA's certificate is no secret: to have it proves nothing."""
    refused_certificate(chain(forged(rogue_org()), rogue_org().ca, honest_org().ca), NOT_OURS)


def test_a_leaf_that_signs_leaves():
    """A stolen gateway key could make gateways of its own."""
    parent, below = fresh(), fresh()
    for name, file in (("ca.pem", parent.certificate), ("ca.key", parent.key)):
        (below.folder / name).write_bytes(file.read_bytes())
    Org(below.folder).forge(below)
    refused_certificate(chain(below, parent.certificate), NOT_OURS)


def test_a_signer_that_signs_leaves():
    """The signer's key lies on every gateway."""
    below = fresh()
    for name, file in (("ca.pem", honest_org().signer), ("ca.key", honest_org().signer_key)):
        (below.folder / name).write_bytes(file.read_bytes())
    Org(below.folder).forge(below)
    refused_certificate(chain(below, honest_org().signer), NOT_OURS)


# --- for which name --------------------------------------------------------------------------------

def test_a_wrong_name():
    """A certificate of the org for one of its other hosts."""
    refused_certificate(forged(dns=["www.example.org"]), "the gateway's certificate is for other names: www.example.org")


def test_a_wildcard():
    """The same for all of its hosts."""
    refused_certificate(forged(dns=["*.example.org"]), "the gateway's certificate is for other names: *.example.org")


def test_a_uri_that_equals_the_name():
    """TLS libraries take it for the name."""
    gateway = fresh()
    honest_org().forge(gateway, dns=[], uris=[gateway.wireguard_uri, NAME])
    refused_certificate(gateway, "the gateway's certificate has no DNS name")


def test_a_name_with_a_byte_zero():
    """Some readers of a name stop at its first zero byte."""
    gateway = fresh()
    der = b"".join((bytes([0x82, len(NAME) + 5]), NAME.encode(), b"\0.com"))
    uri = gateway.wireguard_uri.encode()
    der += bytes([0x86, len(uri)]) + uri
    names = bytes([0x30, len(der)]) + der if len(der) < 128 else bytes([0x30, 0x81, len(der)]) + der
    honest_org().forge(gateway, dns=[], uris=[], extensions=["subjectAltName = DER:" + names.hex()])
    refused_certificate(gateway, f"the gateway's certificate is for other names: {NAME}?.com")


# --- for which use ---------------------------------------------------------------------------------

def test_no_extended_key_usage():
    """A certificate that the org has made for something else."""
    refused_certificate(forged(usage=None), "the gateway's certificate has no extended key usage")


def test_any_extended_key_usage():
    """One for everything is for nothing in particular."""
    refused_certificate(forged(usage="serverAuth, anyExtendedKeyUsage"),
                        "the gateway's certificate may be used for anything (anyExtendedKeyUsage)")


def test_client_authentication_only():
    """Each employee may have one."""
    refused_certificate(forged(usage="clientAuth"), "the gateway's certificate is not for servers (no serverAuth)")


def test_a_signers_usage():
    """A signer's certificate that somebody gave the gateway's name."""
    refused_certificate(forged(usage=SIGNER_USAGE), "the gateway's certificate is not for servers (no serverAuth)")


def test_a_leaf_that_is_a_ca():
    """A CA's key at a gateway would be one burglary away from everything."""
    refused_certificate(forged(is_ca=True), "the gateway's certificate is a CA certificate, which no gateway has")


def test_a_signer_as_a_server():
    """The signer's key lies beside the gateway's, and is made for attestations alone."""
    gateway = fresh()
    gateway.certificate.write_bytes(honest_org().signer.read_bytes())
    gateway.key.write_bytes(honest_org().signer_key.read_bytes())
    refused_certificate(gateway, "the gateway's certificate is not for servers (no serverAuth)")


# --- at which time ---------------------------------------------------------------------------------

def test_expired():
    """Leaves live short so that a stolen one dies."""
    refused_certificate(forged(begin=-3 * HOUR, end=-HOUR), "the gateway's certificate has expired (not after ")


def test_not_yet_valid():
    """An operator would look for the fault anywhere but at the clock."""
    refused_certificate(forged(begin=HOUR), "the gateway's certificate is not valid yet (not before ")


# --- for which WireGuard key -----------------------------------------------------------------------

def test_no_wireguard_uri():
    """The node would prove itself to nobody."""
    refused_certificate(forged(uris=[]), "the gateway's certificate names no WireGuard key")


def test_two_wireguard_uris():
    """Two readers would choose two keys."""
    uri = keys().wireguard_uri
    refused_certificate(forged(uris=[uri, uri]), "the gateway's certificate names more than one WireGuard key")


def test_malformed_wireguard_uris():
    """One key with two spellings is two keys to a list of the revoked."""
    uri = keys().wireguard_uri
    for malformed in (uri + "=", uri[:-1], uri[:-1] + "_", "urn:fortros:wireguard:" + "_" * 43):
        refused_certificate(forged(uris=[malformed]), "the gateway's certificate names a WireGuard key that is none")


# --- of which size and kind ------------------------------------------------------------------------

def test_200_kb_of_certificates():
    """A small machine would run out of memory before it has refused anything."""
    size = len(ssl.PEM_cert_to_DER_cert(honest_org().ca.read_text(encoding="ascii")))
    gateway = chain(forged(), *[honest_org().ca] * (200 * 1024 // size))
    refused_certificate(gateway, "the peer sends a TLS message that is too large")


def test_a_leaf_of_p384():
    """A gateway that has chosen the longer curve would have no nodes."""
    gateway = fresh()
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes", "-keyout", gateway.key,
            "-subj", "/CN=gateway", "-out", gateway.request)
    accepted(honest_org().forge(gateway))


def test_a_ca_of_p384():
    """The same for its org."""
    org = honest_org().successor(world().net.folder / "p384")
    plain = world().net.file("req.cnf", "[req]\ndistinguished_name = dn\n[dn]\n")
    openssl("req", "-x509", "-new", "-config", plain, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes",
            "-keyout", org.ca_key, "-sha384", "-days", "30", "-subj", "/CN=CA of P-384", "-out", org.ca,
            "-addext", "basicConstraints = critical, CA:TRUE", "-addext", "keyUsage = critical, keyCertSign",
            "-addext", "subjectKeyIdentifier = hash")
    with attacker(forged(org)):
        assert world().probe("Sources=cached", gateways=[ATTACKER], ca=org.ca).winner
        assert not world().probe("Sources=cached", gateways=[ATTACKER]).winner


def test_no_basic_constraints():
    """RFC 5280 calls it an end entity; it must not be told that it is a CA."""
    gateway = fresh()
    profile = gateway.folder / "profile.cnf"
    profile.write_text(f"keyUsage = critical, digitalSignature\nextendedKeyUsage = serverAuth\n"
                       f"subjectAltName = DNS:{NAME}, URI:{gateway.wireguard_uri}\n", encoding="ascii")
    openssl("x509", "-req", "-in", gateway.request, "-CA", honest_org().ca, "-CAkey", honest_org().ca_key, "-days", "30",
            "-extfile", profile, "-out", gateway.certificate)
    accepted(gateway)
