// The registry's tables, as a list of migrations: each brings a file from one version to the next.
// A published migration is never changed; a new version is appended.
#pragma once

#include <array>

namespace fortros::gateway {

// PRAGMA application_id of a registry: "Fort".
inline constexpr int registry_application_id = 0x466f7274;

// From this version on the audit log is a chain.
inline constexpr int registry_chain_migration = 4;

inline constexpr std::array registry_migrations = {
    // 1
    R"sql(
    -- One row: what the whole org counts.
    CREATE TABLE organisation (
        one      INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
        prefix   BLOB    NOT NULL CHECK (length(prefix) = 6),
        revision INTEGER NOT NULL,  -- of the newest change to a node
        serial   INTEGER NOT NULL   -- of the newest attestation
    ) STRICT;

    CREATE TABLE invites (
        id       TEXT    NOT NULL PRIMARY KEY,
        hash     BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
        uses     INTEGER NOT NULL CHECK (uses > 0),
        used     INTEGER NOT NULL CHECK (used BETWEEN 0 AND uses),
        role     INTEGER NOT NULL,
        hostname TEXT    NOT NULL,
        created  INTEGER NOT NULL,
        expires  INTEGER NOT NULL,
        revoked  INTEGER
    ) STRICT, WITHOUT ROWID;

    -- A node is never deleted: its key must stay refused, its address taken.
    CREATE TABLE nodes (
        key             BLOB    NOT NULL PRIMARY KEY CHECK (length(key) = 32),
        overlay_address BLOB    NOT NULL UNIQUE CHECK (length(overlay_address) = 16),
        role            INTEGER NOT NULL,
        hostname        TEXT    NOT NULL,
        invite          TEXT    NOT NULL REFERENCES invites (id),
        enrolled        INTEGER NOT NULL,
        revoked         INTEGER,
        serial          INTEGER NOT NULL,
        attested_until  INTEGER NOT NULL,
        revision        INTEGER NOT NULL UNIQUE
    ) STRICT, WITHOUT ROWID;

    -- The newest attestation of each gateway that has used this file.
    CREATE TABLE gateways (
        key            BLOB    NOT NULL PRIMARY KEY CHECK (length(key) = 32),
        serial         INTEGER NOT NULL,
        attested_until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE audit (
        number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        time   INTEGER NOT NULL,
        event  TEXT    NOT NULL,
        actor  TEXT    NOT NULL,
        node   BLOB,
        invite TEXT    NOT NULL,
        detail TEXT    NOT NULL
    ) STRICT;

    CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
        BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
    CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit
        BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
    )sql",
    // 2: approval, retirement, shared keys
    R"sql(
    ALTER TABLE invites ADD COLUMN approval INTEGER NOT NULL DEFAULT 0 CHECK (approval IN (0, 1));

    ALTER TABLE nodes ADD COLUMN retired INTEGER;
    ALTER TABLE nodes ADD COLUMN key_shared INTEGER;  -- when two machines last were seen to use it

    -- Who waits for approval. Each row reserves a use of its invite while it is not rejected and not
    -- expired; what is reserved is counted from here alone.
    CREATE TABLE waiting (
        key             BLOB    NOT NULL PRIMARY KEY CHECK (length(key) = 32),
        overlay_address BLOB    NOT NULL UNIQUE CHECK (length(overlay_address) = 16),
        invite          TEXT    NOT NULL REFERENCES invites (id),
        hostname        TEXT    NOT NULL,
        came_from       TEXT    NOT NULL,
        since           INTEGER NOT NULL,
        expires         INTEGER NOT NULL,
        rejected        INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX waiting_by_invite ON waiting (invite);
    )sql",
    // 3: the org document
    R"sql(
    -- One row: what the org document says, but for the keys that it revokes.
    CREATE TABLE policy (
        one           INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
        serial        INTEGER NOT NULL,
        signers_since INTEGER NOT NULL,
        sources       INTEGER,           -- bits; NULL: the image's own policy
        revocations   INTEGER NOT NULL   -- how many there ever were
    ) STRICT;
    INSERT INTO policy VALUES (1, 1, 0, NULL, 0);

    ALTER TABLE nodes ADD COLUMN revocation INTEGER;  -- the number of its own
    UPDATE nodes SET revocation =
        (SELECT count(*) FROM nodes AS other
         WHERE other.revoked IS NOT NULL AND other.revision <= nodes.revision)
        WHERE revoked IS NOT NULL;
    UPDATE policy SET revocations = (SELECT count(*) FROM nodes WHERE revoked IS NOT NULL),
        serial = 1 + (SELECT count(*) FROM nodes WHERE revoked IS NOT NULL);
    )sql",
    // 4: the audit log as a chain. What is in it already gets its hashes from who migrates it. And where
    // the history of revisions began, if it is not the first one.
    R"sql(
    ALTER TABLE organisation ADD COLUMN history INTEGER NOT NULL DEFAULT 0;

    -- One row: what the newest entry must be.
    CREATE TABLE audit_head (
        one    INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
        number INTEGER NOT NULL,
        hash   BLOB    NOT NULL CHECK (length(hash) = 32)
    ) STRICT;
    INSERT INTO audit_head VALUES (1, 0, zeroblob(32));

    ALTER TABLE audit ADD COLUMN hash BLOB;
    DROP TRIGGER audit_is_never_changed;
    CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit WHEN old.hash IS NOT NULL
        BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
    )sql",
    // 5: where lighthouses are reached
    R"sql(
    ALTER TABLE nodes ADD COLUMN endpoints TEXT NOT NULL DEFAULT '';  -- "192.0.2.1:51820 [2001:db8::1]:51820"
    CREATE INDEX nodes_with_endpoints ON nodes (enrolled, key) WHERE endpoints <> '';
    )sql",
};

}  // namespace fortros::gateway
