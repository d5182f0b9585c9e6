"""The certificate tools: what they make, what they refuse, and what they leave alone."""

import base64
import datetime
import functools
import hashlib
import pathlib
import re
import stat
import subprocess
import tempfile

from lib.org import TOP, CertsError, Gateway, Org, certs, openssl

TIME_LIMIT_S = 120
DAY = datetime.timedelta(days=1)


@functools.cache
def scratch():
    return pathlib.Path(tempfile.mkdtemp(prefix="certs."))


@functools.cache
def world():
    """An org and a gateway of it; no test changes them."""
    org = Org.make(scratch() / "org")
    return org, org.gateway(scratch() / "gateway")


def fresh(name):
    return pathlib.Path(tempfile.mkdtemp(prefix=name + ".", dir=scratch())) / name


def extensions(certificate):
    """The X.509v3 extensions as {name: (critical, text)}."""
    text = openssl("x509", "-in", certificate, "-noout", "-text").split("X509v3 extensions:")[1]
    text = text.split("Signature Algorithm")[0]
    found = re.findall(r"^ {12}(\S[^\n]*?): ?(critical)?\n((?: {16}.*\n)+)", text, re.M)
    return {name.removeprefix("X509v3 "): (bool(critical), value.strip()) for name, critical, value in found}


def dates(certificate):
    text = openssl("x509", "-in", certificate, "-noout", "-dates", "-dateopt", "iso_8601")
    return [datetime.datetime.fromisoformat(line.split("=")[1].replace("Z", "+00:00")) for line in text.split("\n")[:2]]


def says(words, function, *arguments):
    """function(*arguments) fails, and its message holds `words`."""
    try:
        function(*arguments)
    except CertsError as error:
        assert words in str(error), f"{words!r} is not in {str(error)!r}"
    else:
        raise AssertionError(f"{function} {arguments} did not fail")


def test_a_gateway_certificate_verifies_against_its_ca_alone():
    """No node could authenticate its gateway, or any org's gateway would do."""
    org, gateway = world()
    strict = ("verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-purpose", "sslserver")
    openssl(*strict, "-verify_hostname", "gateway.example.org", "-CAfile", org.ca, gateway.certificate)
    says("hostname mismatch", openssl, *strict, "-verify_hostname", "other.example.org", "-CAfile", org.ca,
         gateway.certificate)
    twin = org.twin(fresh("twin"))
    assert openssl("x509", "-in", twin.ca, "-noout", "-subject") == openssl("x509", "-in", org.ca, "-noout", "-subject")
    says("unable to get local issuer", openssl, *strict, "-CAfile", twin.ca, gateway.certificate)


def test_the_ca_may_sign_leaves_and_nothing_may_sign_below_them():
    """A stolen leaf could make more gateways."""
    org, _ = world()
    found = extensions(org.ca)
    assert found["Basic Constraints"] == (True, "CA:TRUE, pathlen:0"), found
    assert found["Key Usage"] == (True, "Certificate Sign, CRL Sign"), found
    assert set(found) == {"Basic Constraints", "Key Usage", "Subject Key Identifier"}, found


def test_a_gateway_certificate_says_what_the_agent_requires_and_no_more():
    """The agent would refuse the leaf, or the leaf would serve for more than a gateway."""
    org, gateway = world()
    found = extensions(gateway.certificate)
    assert found["Basic Constraints"] == (True, "CA:FALSE"), found
    assert found["Key Usage"] == (True, "Digital Signature"), found
    assert found["Extended Key Usage"] == (False, "TLS Web Server Authentication"), found
    names = f"DNS:{org.gateway_name}, URI:{gateway.wireguard_uri}"
    assert found["Subject Alternative Name"] == (False, names), found
    assert set(found) == {"Basic Constraints", "Key Usage", "Extended Key Usage", "Subject Alternative Name",
                          "Subject Key Identifier", "Authority Key Identifier"}, found
    assert re.fullmatch(r"urn:fortros:wireguard:[A-Za-z0-9_-]{43}", gateway.wireguard_uri)


def test_a_signer_certificate_cannot_stand_in_for_a_gateway():
    """Who steals the signing key from one gateway could pose as any gateway."""
    org, _ = world()
    header = (TOP / "agent/core/signer.h").read_text(encoding="utf-8")
    usage = re.search(r'signer_usage_oid =\s*"([0-9.]+)"', header)[1]
    found = extensions(org.signer)
    assert found["Extended Key Usage"] == (False, usage), found
    assert found["Basic Constraints"] == (True, "CA:FALSE"), found
    assert found["Key Usage"] == (True, "Digital Signature"), found
    assert "Subject Alternative Name" not in found
    der = bytes(int(byte, 16) for byte in re.search(r"signer_usage_oid_der\[\] = \{([^}]*)\}", header)[1].split(","))
    assert der in base64.b64decode("".join(org.signer.read_text().split("\n")[1:-2])), "the header's two spellings differ"
    openssl("verify", "-no-CApath", "-no-CAstore", "-purpose", "any", "-CAfile", org.ca, org.signer)
    says("purpose", openssl, "verify", "-purpose", "sslserver", "-CAfile", org.ca, org.signer)


def test_every_key_is_p256():
    """The agent's TLS library has no other curve that these certificates could use."""
    org, gateway = world()
    for certificate in (org.ca, org.signer, gateway.certificate):
        text = openssl("x509", "-in", certificate, "-noout", "-text")
        assert "NIST CURVE: P-256" in text and "Signature Algorithm: ecdsa-with-SHA256" in text, text


def test_dates_never_lie_in_the_future_and_span_at_most_ninety_days():
    """Nodes refuse the leaf as not yet valid, or a stolen leaf works for longer than promised."""
    org, gateway = world()
    moment = datetime.datetime.now(datetime.timezone.utc)
    begin, end = dates(gateway.certificate)
    ca_begin, ca_end = dates(org.ca)
    assert ca_begin <= begin <= moment and end <= ca_end
    assert end - begin == 90 * DAY, end - begin
    begin, end = dates(org.signer)
    assert begin <= moment and end - begin <= 366 * DAY


def test_a_certificate_is_backdated_by_a_day_but_not_beyond_its_ca():
    """A node whose clock runs in local time refuses a gateway for hours after each renewal."""
    org = Org(fresh("org"))
    subprocess.run(["cp", "-r", world()[0].folder, org.folder], check=True)
    begin = datetime.datetime.now(datetime.timezone.utc) - 100 * DAY
    openssl("x509", "-in", world()[0].ca, "-signkey", org.ca_key, "-out", org.ca, "-copy_extensions", "copyall",
            "-not_before", begin.strftime("%Y%m%d%H%M%SZ"), "-not_after", "20990101000000Z")
    gateway = Gateway(fresh("gateway"))
    certs("gateway-keys", gateway.folder)
    for days, span in ((90, 90), (30, 31), (1, 2)):
        certs("issue-gateway", org.folder, gateway.folder, "--days", days)
        begin, end = dates(gateway.certificate)
        age = datetime.datetime.now(datetime.timezone.utc) - begin
        assert DAY <= age < DAY + datetime.timedelta(minutes=5), age
        assert end - begin == span * DAY, (days, end - begin)


def test_a_certificate_never_outlives_its_ca():
    """Gateways look valid after the CA has ended, and every node refuses them."""
    org = Org.make(fresh("org"), "gateway.example.org", "--days", "2")
    gateway = org.gateway(fresh("gateway"))
    assert dates(gateway.certificate)[1] == dates(org.ca)[1]
    assert dates(org.signer)[1] <= dates(org.ca)[1]


def test_secrets_are_for_their_owner_alone():
    """Any user of the machine could read the CA's key."""
    org, gateway = world()
    for path in (org.folder, gateway.folder):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700, path
    for path in (org.ca_key, org.signer_key, gateway.key, gateway.wireguard_key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for path in (org.ca, org.signer, org.folder / "org.conf", gateway.certificate, gateway.request):
        assert stat.S_IMODE(path.stat().st_mode) == 0o644, path
    left = [path for folder in (org.folder, gateway.folder) for path in folder.rglob(".*")]
    assert not left, f"scratch left behind: {left}"


def test_the_prefix_is_random_and_canonical():
    """Two orgs that meet have the same overlay addresses."""
    seen = set()
    for _ in range(4):
        prefix = Org.make(fresh("org")).prefix
        found = re.fullmatch(r"fd([0-9a-f]{2}):([1-9a-f][0-9a-f]{0,3}):([1-9a-f][0-9a-f]{0,3})::/48", prefix)
        assert found, prefix
        seen.add(prefix)
    assert len(seen) == 4, seen


def test_wireguard_keys_are_as_wg_makes_them():
    """The kernel and the certificate would name different keys."""
    _, gateway = world()
    text = gateway.wireguard_key.read_text(encoding="ascii")
    raw = base64.b64decode(text.strip(), validate=True)
    assert len(raw) == 32 and text == base64.b64encode(raw).decode() + "\n"
    assert raw[0] & 7 == 0 and raw[31] & 0xC0 == 0x40, "not clamped"
    public = subprocess.run(["wg", "pubkey"], input=text, text=True, capture_output=True, check=True).stdout
    assert public.strip() == gateway.wireguard_public


def test_a_request_cannot_ask_for_names_or_powers():
    """Whoever hands in a request decides what the CA signs."""
    org, honest = world()
    gateway = honest.copy(fresh("gateway"))
    config = gateway.folder / "greedy.cnf"
    config.write_text("[req]\ndistinguished_name=dn\nreq_extensions=x\n[dn]\n[x]\nbasicConstraints=critical,CA:TRUE\n"
                      "keyUsage=keyCertSign\nextendedKeyUsage=clientAuth\nsubjectAltName=DNS:evil.example\n")
    openssl("req", "-new", "-config", config, "-key", gateway.key, "-subj", "/CN=evil.example", "-out", gateway.request)
    certs("issue-gateway", org.folder, gateway.folder)
    text = openssl("x509", "-in", gateway.certificate, "-noout", "-text")
    assert "evil" not in text
    before, after = extensions(honest.certificate), extensions(gateway.certificate)
    assert before == after, (before, after)


def test_no_key_is_ever_overwritten():
    """A second call by mistake ends an organisation or a gateway."""
    org, gateway = world()

    def content():
        return {path: hashlib.sha256(path.read_bytes()).hexdigest()
                for folder in (org.folder, gateway.folder) for path in folder.rglob("*") if path.is_file()}

    before = content()
    says("never made over another", certs, "make-org", org.folder, "--gateway-name", "gateway.example.org")
    says("left as they are", certs, "gateway-keys", gateway.folder)
    assert content() == before


def test_interrupted_gateway_keys_are_completed_not_replaced():
    """After a power cut the gateway's identity changes without a word."""
    _, honest = world()
    gateway = honest.copy(fresh("gateway"))
    (gateway.folder / "wireguard.pub").unlink()
    gateway.request.unlink()
    certs("gateway-keys", gateway.folder)
    assert gateway.key.read_bytes() == honest.key.read_bytes()
    assert gateway.wireguard_key.read_bytes() == honest.wireguard_key.read_bytes()
    assert gateway.wireguard_public == honest.wireguard_public
    assert openssl("req", "-in", gateway.request, "-noout", "-pubkey") == \
        openssl("x509", "-in", honest.certificate, "-noout", "-pubkey")


def test_renewal_keeps_the_keys_and_tells_the_dates():
    """Every renewal would change the gateway's WireGuard key, and each node's tunnel would break."""
    org, honest = world()
    gateway = honest.copy(fresh("gateway"))
    said = certs("renew-gateway", org.folder, gateway.folder, "--days", "30")
    assert "until now valid until" in said and "valid until" in said.split("\n")[1], said
    certs("renew-gateway", org.folder, gateway.folder)
    for question in ("-pubkey", "-subject"):
        assert openssl("x509", "-in", gateway.certificate, "-noout", question) == \
            openssl("x509", "-in", honest.certificate, "-noout", question)
    assert extensions(gateway.certificate) == extensions(honest.certificate)
    assert gateway.key.read_bytes() == honest.key.read_bytes()
    assert gateway.certificate.read_bytes() != honest.certificate.read_bytes()
    records = [path.read_bytes() for path in (org.folder / "issued").iterdir()]
    assert gateway.certificate.read_bytes() in records, "the CA keeps no copy of what it signed"


def test_renewal_refuses_what_is_no_renewal():
    """A certificate for a stranger's keys is signed by a timer that nobody watches."""
    org, honest = world()
    empty = fresh("gateway")
    certs("gateway-keys", empty)
    says("is not there", certs, "renew-gateway", org.folder, empty)
    for name in ("gateway.csr", "wireguard.pub"):
        gateway = honest.copy(fresh("gateway"))
        (gateway.folder / name).write_bytes((empty / name).read_bytes())
        says("for a new key use certs/issue-gateway", certs, "renew-gateway", org.folder, gateway.folder)
        assert gateway.certificate.read_bytes() == honest.certificate.read_bytes()


def test_wireguard_keys_with_a_second_spelling_are_refused():
    """Two names of one key let a gateway be taken for two, or for one that it is not."""
    org, honest = world()
    gateway = honest.copy(fresh("gateway"))
    p = 2**255 - 19
    for number, good in ((p - 1, True), (p, False), (p + 1, False), (2**255 - 1, False), (2**255 + 9, False)):
        (gateway.folder / "wireguard.pub").write_text(base64.b64encode(number.to_bytes(32, "little")).decode() + "\n")
        if good:
            certs("issue-gateway", org.folder, gateway.folder)
        else:
            says("no key that WireGuard accepts", certs, "issue-gateway", org.folder, gateway.folder)
    # The last character of 43 holds two bits that no byte uses.
    text = honest.wireguard_public
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    (gateway.folder / "wireguard.pub").write_text(text[:42] + alphabet[alphabet.index(text[42]) | 1] + "=\n")
    says("not spelt canonically", certs, "issue-gateway", org.folder, gateway.folder)
    for wrong in ("", "AAAA", text + text, text[:43], text.replace("=", "-")):
        (gateway.folder / "wireguard.pub").write_text(wrong)
        says("no WireGuard public key", certs, "issue-gateway", org.folder, gateway.folder)


def test_requests_that_prove_nothing_are_refused():
    """The CA vouches for a key that the applicant does not have, or that is weak."""
    org, honest = world()
    gateway = honest.copy(fresh("gateway"))
    openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", gateway.folder / "rsa.key", "-subj", "/CN=x",
            "-out", gateway.request)
    says("is not P-256", certs, "issue-gateway", org.folder, gateway.folder)
    der = subprocess.run(["openssl", "req", "-in", honest.request, "-outform", "DER"], capture_output=True, check=True)
    broken = der.stdout[:-1] + bytes([der.stdout[-1] ^ 1])
    gateway.request.write_text("-----BEGIN CERTIFICATE REQUEST-----\n" + base64.encodebytes(broken).decode()
                               + "-----END CERTIFICATE REQUEST-----\n")
    says("not signed by its own key", certs, "issue-gateway", org.folder, gateway.folder)
    gateway.request.write_text("nothing")
    says("no certificate request", certs, "issue-gateway", org.folder, gateway.folder)
    gateway.request.unlink()
    says("can't be read", certs, "issue-gateway", org.folder, gateway.folder)
    assert gateway.certificate.read_bytes() == honest.certificate.read_bytes(), "a failure changed the certificate"


def test_an_encrypted_ca_key_opens_with_its_passphrase_only():
    """The passphrase would protect nothing, or lock the org out of its own CA."""
    passphrase = fresh("passphrase")
    passphrase.write_text("correct horse\n")
    org = Org.make(fresh("org"), "gateway.example.org", "--encrypt", "--passphrase-file", passphrase)
    assert "BEGIN ENCRYPTED PRIVATE KEY" in org.ca_key.read_text()
    assert "scrypt" in openssl("asn1parse", "-in", org.ca_key)
    gateway = Gateway(fresh("gateway"))
    certs("gateway-keys", gateway.folder)
    says("the CA key has a passphrase", certs, "issue-gateway", org.folder, gateway.folder)
    wrong = fresh("wrong")
    wrong.write_text("battery staple\n")
    says("not the passphrase", certs, "issue-gateway", org.folder, gateway.folder, "--passphrase-file", wrong)
    certs("issue-gateway", org.folder, gateway.folder, "--passphrase-file", passphrase)
    certs("issue-signer", org.folder, "--passphrase-file", passphrase)
    openssl("verify", "-CAfile", org.ca, gateway.certificate, org.signer)


def test_a_ca_key_from_elsewhere_is_used_as_it_is():
    """An org whose CA key is in a hardware token, or made in a ceremony, can't use these tools."""
    key = fresh("key")
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    org = Org.make(fresh("org"), "gateway.example.org", "--ca-key", key)
    assert org.ca_key.read_bytes() == key.read_bytes() and stat.S_IMODE(org.ca_key.stat().st_mode) == 0o600
    openssl("verify", "-CAfile", org.ca, org.gateway(fresh("gateway")).certificate)
    weak = fresh("weak")
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", weak)
    target = fresh("org")
    says("is not P-256", certs, "make-org", target, "--gateway-name", "gateway.example.org", "--ca-key", weak)
    says("can't be read", certs, "make-org", target, "--gateway-name", "gateway.example.org", "--ca-key", "/nowhere")
    says("for a new key", certs, "make-org", target, "--gateway-name", "gateway.example.org", "--ca-key", key, "--encrypt")
    assert not target.exists()


def test_a_second_ca_takes_over_without_renumbering():
    """Rotating the CA would give every node another address, or need every image on one day."""
    org, gateway = world()
    successor = org.successor(fresh("next"))
    assert (successor.prefix, successor.domain, successor.gateway_name) == (org.prefix, org.domain, org.gateway_name)
    assert openssl("x509", "-in", successor.ca, "-noout", "-subject") != openssl("x509", "-in", org.ca, "-noout", "-subject")
    pins = fresh("pins")
    pins.write_bytes(org.ca.read_bytes() + successor.ca.read_bytes())
    renewed = gateway.copy(fresh("gateway"))
    certs("renew-gateway", successor.folder, renewed.folder)
    openssl("verify", "-CAfile", pins, gateway.certificate, renewed.certificate)
    assert certs("show", pins).count("organisation CA") == 4  # the kind and the subject, twice


def test_a_renewed_signer_keeps_its_key():
    """Renewing the signer makes a second key to guard, and the first is forgotten somewhere."""
    org = Org.make(fresh("org"))
    key, certificate = org.signer_key.read_bytes(), org.signer.read_bytes()
    certs("issue-signer", org.folder, "--days", "100")
    assert org.signer_key.read_bytes() == key and org.signer.read_bytes() != certificate
    certs("issue-signer", org.folder, fresh("other"))


def test_show_tells_what_is_due():
    """Certificates run out unnoticed, and no node can join."""
    org, honest = world()
    said = certs("show", org.folder, honest.folder)
    for words in ("organisation CA", "attestation signer", org.prefix, honest.wireguard_public, "days left"):
        assert words in said, said
    assert "WARNING" not in said
    digest = hashlib.sha256(base64.b64decode("".join(org.signer.read_text().split("\n")[1:-2]))).hexdigest()
    assert f"signer id      {digest[:16]}" in said, said

    gateway = honest.copy(fresh("gateway"))
    org.forge(gateway, begin=-80 * DAY, end=10 * DAY)
    says("due for renewal", certs, "show", gateway.folder)
    org.forge(gateway, begin=-80 * DAY, end=-DAY)
    says("it is over", certs, "show", gateway.folder)
    gateway.wireguard_key.chmod(0o644)
    says("others may read it", certs, "show", gateway.folder)
    says("holds no certificate", certs, "show", honest.key)
    says("can't be read", certs, "show", honest.folder / "nothing")


def test_bad_arguments_get_a_clear_error_and_make_nothing():
    """A slip of the keyboard leaves half an organisation behind."""
    org, honest = world()
    target = fresh("org")
    for words, arguments in (
            ("no folder is named", ()),
            ("--gateway-name is missing", (target,)),
            ("needs a value", (target, "--gateway-name")),
            ("no DNS name", (target, "--gateway-name", "*.example.org")),
            ("no DNS name", (target, "--gateway-name", "192.0.2.1")),
            ("no DNS name", (target, "--gateway-name", "gateway")),
            ("no DNS name", (target, "--gateway-name", "gateway.example.org\nURI:x")),
            ("no domain", (target, "--gateway-name", "gateway.org")),
            ("whole number of days", (target, "--gateway-name", "gateway.example.org", "--days", "-1")),
            ("may be at most", (target, "--gateway-name", "gateway.example.org", "--days", "90000")),
            ("unknown option --force", (target, "--force")),
            ("more than one folder", (target, target)),
            ("takes the names from", (target, "--like", org.folder, "--domain", "example.net")),
            ("make-org made", (target, "--like", honest.folder)),
            ("is for --encrypt", (target, "--gateway-name", "gateway.example.org", "--passphrase-file", "x")),
            ("can't write to", (target / "deep" / "deeper", "--gateway-name", "gateway.example.org"))):
        says(words, certs, "make-org", *arguments)
        assert not target.exists(), arguments
    says("--days may be at most 90", certs, "issue-gateway", org.folder, honest.folder, "--days", "91")
    says("ORG and DIR are needed", certs, "issue-gateway", org.folder)
    says("ORG and DIR are needed", certs, "renew-gateway", "--days", "3")
    says("--days may be at most 366", certs, "issue-signer", org.folder, "--days", "367")
    for verb in ("make-org", "gateway-keys", "issue-gateway", "renew-gateway", "issue-signer", "show"):
        assert certs(verb, "--help").startswith(f"usage: certs/{verb}"), verb
