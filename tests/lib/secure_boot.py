"""Somebody who owns a machine's Secure Boot: keys of his own in its firmware, and images that he signs.

    owner = Owner(folder)
    image.build(..., options=owner.signing())
    node.firmware = owner.firmware(node.folder / "nvram.fd")
"""

import pathlib
import struct
import uuid

from lib import nvram, qemu
from lib.org import openssl

# UEFI 2.10, 32.4.1 and 8.2: what signs images, what may change that, and who owns the machine.
GLOBAL = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
IMAGE_SECURITY = uuid.UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
PLACES = {"db": IMAGE_SECURITY, "KEK": GLOBAL, "PK": GLOBAL}
X509 = uuid.UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
OWNER = uuid.UUID("ac713719-c4fe-4ca1-ae08-285342dd98af")
AUTHENTICATED = 0x20


class Owner:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        for name in PLACES:
            openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-days", "30",
                    "-keyout", self.folder / f"{name}.key", "-out", self.folder / f"{name}.pem")
            openssl("x509", "-in", self.folder / f"{name}.pem", "-outform", "DER", "-out", self.folder / f"{name}.der")

    def signing(self):
        """What build-image is given to sign."""
        return ["--", f"--secureboot-private-key={self.folder / 'db.key'}", f"--secureboot-certificate={self.folder / 'db.pem'}"]

    def firmware(self, variables):
        """Fresh, and with nobody's keys but the owner's: with a PK in it the firmware begins with Secure Boot on."""
        firmware = qemu.Firmware(qemu.Firmware.fresh(variables).variables, secure=True)
        store = nvram.Nvram(firmware.variables)
        for name, vendor in PLACES.items():
            certificate = (self.folder / f"{name}.der").read_bytes()
            store.add(name, _signature_list(certificate), vendor,
                      nvram.NON_VOLATILE | nvram.BOOT_SERVICE | nvram.RUNTIME | AUTHENTICATED)
        return firmware


def _signature_list(certificate):
    """EFI_SIGNATURE_LIST with one entry."""
    entry = OWNER.bytes_le + certificate
    return X509.bytes_le + struct.pack("<III", 28 + len(entry), 0, len(entry)) + entry
