"""Organisations for tests: honest ones, made by certs/ as a user makes them, and what an attacker
might hold, made with openssl alone. Never used outside tests; nothing here guards a real key."""

import dataclasses
import datetime
import pathlib
import re
import shutil
import subprocess
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
WIREGUARD_URI = "urn:fortros:wireguard:"


class CertsError(Exception):
    """A verb of certs/, or openssl, failed; the text is what it said."""


def certs(verb, *arguments, stdin=subprocess.DEVNULL):
    """Runs a verb of certs/; returns what it printed, raises CertsError with its words."""
    return _run(TOP / "certs" / verb, *arguments, stdin=stdin)


def openssl(*arguments, text=None):
    return _run("openssl", *arguments, text=text)


def _run(*command, stdin=subprocess.DEVNULL, text=None):
    given = {"input": text} if text is not None else {"stdin": stdin}
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True, check=False, **given)
    if done.returncode:
        raise CertsError(f"{command[0]} ended with {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout + done.stderr


def now():
    return datetime.datetime.now(datetime.timezone.utc)


@dataclasses.dataclass
class Gateway:
    """A folder as certs/gateway-keys and certs/issue-gateway leave it."""
    folder: pathlib.Path

    @property
    def key(self):
        return self.folder / "gateway.key"

    @property
    def request(self):
        return self.folder / "gateway.csr"

    @property
    def certificate(self):
        return self.folder / "gateway.pem"

    @property
    def wireguard_key(self):
        return self.folder / "wireguard.key"

    @property
    def wireguard_public(self):
        """As wg(8) spells it: 44 characters."""
        return (self.folder / "wireguard.pub").read_text(encoding="ascii").strip()

    @property
    def wireguard_uri(self):
        return WIREGUARD_URI + self.wireguard_public.translate(str.maketrans("+/", "-_")).rstrip("=")

    def copy(self, folder):
        """Another folder with the same keys, for another certificate."""
        shutil.copytree(self.folder, folder)
        return Gateway(pathlib.Path(folder))


@dataclasses.dataclass
class Org:
    """A folder as certs/make-org leaves it."""
    folder: pathlib.Path

    @classmethod
    def make(cls, folder, gateway_name="gateway.example.org", *options):
        certs("make-org", folder, "--gateway-name", gateway_name, *options)
        return cls(pathlib.Path(folder))

    @property
    def ca(self):
        return self.folder / "ca.pem"

    @property
    def ca_key(self):
        return self.folder / "ca.key"

    @property
    def signer(self):
        return self.folder / "signer.pem"

    @property
    def signer_key(self):
        return self.folder / "signer.key"

    def value(self, key):
        """A value of org.conf: Prefix, Domain or GatewayName."""
        return re.search(rf"^{key}=(.*)$", (self.folder / "org.conf").read_text(encoding="ascii"), re.M)[1]

    @property
    def prefix(self):
        return self.value("Prefix")

    @property
    def domain(self):
        return self.value("Domain")

    @property
    def gateway_name(self):
        return self.value("GatewayName")

    def gateway(self, folder, *options):
        """A gateway with keys of its own and a certificate from this org."""
        certs("gateway-keys", folder)
        certs("issue-gateway", self.folder, folder, *options)
        return Gateway(pathlib.Path(folder))

    def successor(self, folder):
        """Another CA of the same org, to rotate to."""
        certs("make-org", folder, "--like", self.folder)
        return Org(pathlib.Path(folder))

    def copy(self, folder):
        """Another folder with the same keys, for another certificate."""
        shutil.copytree(self.folder, folder)
        return Org(pathlib.Path(folder))

    def redate(self, begin, end):
        """Gives the CA another life. What it has issued stays as it is, and may begin before it now."""
        openssl("x509", "-in", self.ca, "-key", self.ca_key, "-sha256", "-not_before", _asn1_time(begin, None),
                "-not_after", _asn1_time(end, None), "-out", self.ca)

    def twin(self, folder):
        """An impostor: another CA with the same subject and the same names, to the letter."""
        twin = self.successor(folder)
        subject = openssl("x509", "-in", self.ca, "-noout", "-subject", "-nameopt", "RFC2253")
        name = subject.strip().removeprefix("subject=CN=")
        with tempfile.NamedTemporaryFile("w", suffix=".cnf") as config:
            config.write("[req]\ndistinguished_name = dn\nx509_extensions = ca\n[dn]\n[ca]\n"
                         "basicConstraints = critical, CA:TRUE, pathlen:0\n"
                         "keyUsage = critical, keyCertSign, cRLSign\nsubjectKeyIdentifier = hash\n")
            config.flush()
            openssl("req", "-x509", "-new", "-config", config.name, "-key", twin.ca_key, "-sha256",
                    "-days", "3650", "-subj", f"/CN={name}", "-out", twin.ca)
        certs("issue-signer", twin.folder)
        return twin

    def forge(self, gateway, *, dns=None, uris=None, usage="serverAuth", is_ca=False, extensions=(),
              begin=None, end=None):
        """Replaces gateway's certificate by one that certs/ would never issue, signed by this CA.

        What is left out is as certs/ does it. `usage` is a value of extendedKeyUsage or None for no
        such extension; `begin` and `end` are datetimes or distances from now.
        """
        dns = [self.gateway_name] if dns is None else dns
        uris = [gateway.wireguard_uri] if uris is None else uris
        lines = [f"basicConstraints = critical, CA:{'TRUE' if is_ca else 'FALSE'}",
                 f"keyUsage = critical, digitalSignature{', keyCertSign' if is_ca else ''}",
                 "subjectKeyIdentifier = hash", "authorityKeyIdentifier = keyid", *extensions]
        if usage is not None:
            lines.append(f"extendedKeyUsage = {usage}")
        names = [f"DNS.{i} = {name}" for i, name in enumerate(dns)] + [f"URI.{i} = {uri}" for i, uri in enumerate(uris)]
        if names:
            lines += ["subjectAltName = @names", "[names]", *names]
        with tempfile.NamedTemporaryFile("w", suffix=".cnf") as profile:
            profile.write("\n".join(lines) + "\n")
            profile.flush()
            openssl("x509", "-req", "-in", gateway.request, "-CA", self.ca, "-CAkey", self.ca_key, "-sha256",
                    "-extfile", profile.name, "-out", gateway.certificate,
                    "-not_before", _asn1_time(begin, datetime.timedelta(days=-1)),
                    "-not_after", _asn1_time(end, datetime.timedelta(days=30)))
        return gateway


def _asn1_time(moment, default):
    moment = default if moment is None else moment
    if isinstance(moment, datetime.timedelta):
        moment = now() + moment
    return moment.astimezone(datetime.timezone.utc).strftime("%Y%m%d%H%M%SZ")
