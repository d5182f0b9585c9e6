"""Somebody who owns a machine's Secure Boot: keys of his own in its firmware, and images that he signs.

    owner = Owner(folder)
    image.build(..., options=owner.signing())
    node.firmware = owner.firmware(node.folder / "nvram.fd")

And somebody who does not, but sits before its firmware's menu: a boot entry with words for the image.

    add_boot_entry(node.firmware, "init=/bin/sh")
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
LASTING = nvram.NON_VOLATILE | nvram.BOOT_SERVICE | nvram.RUNTIME
ENTRY_NUMBER = 0x77
ENTRY_ACTIVE = 1


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
            store.add(name, _signature_list(certificate), vendor, LASTING | AUTHENTICATED)
        return firmware


def _signature_list(certificate):
    """EFI_SIGNATURE_LIST with one entry."""
    entry = OWNER.bytes_le + certificate
    return X509.bytes_le + struct.pack("<III", 28 + len(entry), 0, len(entry)) + entry


def add_boot_entry(firmware, words):
    """The first to be tried: what is on the first disk where firmware looks without being told, with these words."""
    path = (_node(2, 1, struct.pack("<II", 0x0A0341D0, 0))  # the PCI root: PNP0A03
            + _node(1, 1, bytes([0, 2]))  # the first disk of a qemu.Machine: function 0, device 2
            + _node(4, 4, _utf16("\\EFI\\BOOT\\BOOTX64.EFI")) + _node(0x7F, 0xFF, b""))
    option = struct.pack("<IH", ENTRY_ACTIVE, len(path)) + _utf16("words") + path + _utf16(words)  # UEFI 2.10, 3.1.3
    store = nvram.Nvram(firmware.variables)
    store.add(f"Boot{ENTRY_NUMBER:04X}", option, GLOBAL, LASTING)
    store.add("BootOrder", struct.pack("<H", ENTRY_NUMBER), GLOBAL, LASTING)


def _node(kind, of_kind, content):
    """One of a device path (UEFI 2.10, 10.3)."""
    return struct.pack("<BBH", kind, of_kind, 4 + len(content)) + content


def _utf16(text):
    return (text + "\0").encode("utf-16-le")
