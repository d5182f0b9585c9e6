// The org's policy and revocations in the registry's file: what the org document is made of.
#include <algorithm>

#include "gateway/sqlite_registry.h"

namespace fortros::gateway {

static WallTime time_of(std::int64_t seconds) { return WallTime{std::chrono::seconds{seconds}}; }

Result<PolicyRecord> SqliteRegistry::policy() {
    auto row =
        TRY(m_database.query("SELECT serial, signers_since, sources, revocations FROM policy"));
    if (!TRY(row.next())) return fail(ErrorCode::InvalidData, "the registry is damaged: no policy");
    PolicyRecord policy{.serial = static_cast<std::uint64_t>(row.integer(0)),
                        .signers_since = time_of(row.integer(1)),
                        .revocation_number = static_cast<std::uint64_t>(row.integer(3))};
    if (!row.is_null(2)) {
        policy.sources = SourceSet::from_bits(static_cast<std::uint8_t>(row.integer(2)));
        if (!policy.sources || policy.sources->empty())
            return fail(ErrorCode::InvalidData, "the registry is damaged: a policy that is none");
    }
    return policy;
}

Result<std::vector<PublicKey>> SqliteRegistry::revoked(WallTime now) {
    auto row = TRY(m_database.query(
        "SELECT key FROM nodes WHERE revocation IS NOT NULL AND coalesce(revoked, retired) >= ?1 "
        "ORDER BY revocation DESC LIMIT ?2",
        now - attestation_life, std::uint64_t{document_revoked_limit}));
    std::vector<PublicKey> keys;
    while (TRY(row.next())) {
        const auto key = PublicKey::from_bytes(row.blob(0));
        if (!key)
            return fail(ErrorCode::InvalidData, "the registry is damaged: a node without a key");
        keys.push_back(*key);
    }
    std::ranges::reverse(keys);
    return keys;
}

// Of the next document: by the clock, so that it grows even past what was lost with a newer file.
Status SqliteRegistry::next_document(WallTime now) {
    return m_database.execute("UPDATE policy SET serial = max(serial + 1, ?1)", now);
}

// The next number, which the document names as the newest.
Status SqliteRegistry::number_revocation(const PublicKey& key, WallTime now) {
    TRY(next_document(now));
    TRY(m_database.execute("UPDATE policy SET revocations = revocations + 1"));
    return m_database.execute(
        "UPDATE nodes SET revocation = (SELECT revocations FROM policy) WHERE key = ?1",
        ByteView(key.bytes));
}

Result<PolicyRecord> SqliteRegistry::change_policy(const PolicyChange& change, const Actor& actor,
                                                   WallTime now) {
    auto transaction = TRY(Transaction::begin(m_database));
    const auto before = TRY(policy());
    if (change.signers_since && *change.signers_since < before.signers_since)
        return fail(ErrorCode::InvalidArgument, "a signer that is disowned stays so",
                    "those from " + to_rfc3339(before.signers_since) + " on count");
    const bool renews = change.renew == Renewal::All;
    const WallTime floor = renews ? now + renewal_margin : now;
    TRY(next_document(floor));
    if (change.sources) {
        std::optional<std::int64_t> bits;
        if (*change.sources) bits = (*change.sources)->bits();
        TRY(m_database.execute("UPDATE policy SET sources = ?1", bits));
    }
    if (change.signers_since)
        TRY(m_database.execute("UPDATE policy SET signers_since = ?1", *change.signers_since));
    if (renews) {
        TRY(
            m_database.execute("UPDATE organisation SET serial = max(serial, ?1), "
                               "revision = max(revision + 1, ?1)",
                               floor));
        TRY(m_database.execute("UPDATE organisation SET history = revision"));
        TRY(m_database.execute("UPDATE nodes SET attested_until = 0 WHERE revocation IS NULL"));
        TRY(m_database.execute("UPDATE gateways SET attested_until = 0"));
    }
    auto after = TRY(policy());
    TRY(note("policy-changed", actor, nullptr, "", description_of(after), now));
    TRY(transaction.commit());
    return after;
}

}  // namespace fortros::gateway
