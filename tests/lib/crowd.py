"""Members by the thousand, put straight into a gateway's SQLite registry: nobody has their private keys.

The gateway must not run meanwhile.
"""

import contextlib
import hashlib
import ipaddress
import sqlite3

FAR_AWAY = 4102444800  # 2100: no attestation is due for renewal
NODE_ROLE = 1


def member(number, prefix):
    """A key and the address that follows from it as the protocol says, as far as its form goes."""
    digest = bytearray(hashlib.sha256(f"member {number}".encode()).digest())
    digest[31] &= 0x3f
    return bytes(digest), ipaddress.IPv6Network(prefix)[int.from_bytes(digest[:10], "big") | 1 << 79]


def add_members(path, numbers, prefix):
    """As if each had enrolled with the registry's first invite; revisions and serials go on from where they are."""
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        (invite,) = database.execute("SELECT id FROM invites").fetchone()
        revision, serial = database.execute("SELECT revision, serial FROM organisation").fetchone()
        rows = []
        for count, number in enumerate(numbers, 1):
            key, address = member(number, prefix)
            rows.append((key, address.packed, invite, serial + count, FAR_AWAY, revision + count))
        database.executemany("INSERT INTO nodes (key, overlay_address, role, hostname, invite, enrolled, serial, "
                             f"attested_until, revision) VALUES (?, ?, {NODE_ROLE}, '', ?, 1000000000, ?, ?, ?)", rows)
        database.execute("UPDATE organisation SET revision = ?, serial = ?", (revision + len(rows), serial + len(rows)))
