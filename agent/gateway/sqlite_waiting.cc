// The part of the registry about those who wait for an admin's word.
#include "gateway/sqlite_registry.h"
#include "gateway/sqlite_rows.h"

namespace fortros::gateway {

static std::unexpected<Error> nobody_waits(const PublicKey& key) {
    return fail(ErrorCode::NotFound, "no node waits with the key " + key.base64());
}

Result<std::optional<WaitingRecord>> SqliteRegistry::find_waiting(const PublicKey& key) {
    auto row = TRY(m_database.query("SELECT " WAITING_COLUMNS " FROM waiting WHERE key = ?1",
                                    ByteView(key.bytes)));
    if (!TRY(row.next())) return std::nullopt;
    return TRY(waiting_from(row));
}

Status SqliteRegistry::forget_waiting(const PublicKey& key) {
    return m_database.execute("DELETE FROM waiting WHERE key = ?1", ByteView(key.bytes));
}

// In a transaction of its own, so that it lasts when what follows is refused. Mostly there is
// nothing to do, and then nothing is written.
Status SqliteRegistry::expire_waiting(WallTime now) {
    if (TRY(number_at(m_database.query("SELECT count(*) FROM waiting WHERE expires <= ?1", now))) ==
        0)
        return {};
    auto transaction = TRY(Transaction::begin(m_database));
    std::vector<WaitingRecord> expired;
    {
        auto row = TRY(m_database.query(
            "DELETE FROM waiting WHERE expires <= ?1 RETURNING " WAITING_COLUMNS, now));
        while (TRY(row.next())) expired.push_back(TRY(waiting_from(row)));
    }
    for (const auto& node : expired)
        if (!node.rejected)
            TRY(note("waiting-expired", "gateway", &node.key, node.invite, node.hostname, now));
    return transaction.commit();
}

Result<Decision> SqliteRegistry::begin_waiting(const Enrolment& enrolment,
                                               const InviteRecord& invite, const Actor& actor,
                                               WallTime now) {
    const auto all =
        TRY(number_at(m_database.query("SELECT count(*) FROM waiting WHERE rejected IS NULL")));
    if (all >= waiting_limit || invite.waiting >= waiting_per_invite_limit)
        return RefusalCode::Busy;
    WaitingRecord node{
        .key = enrolment.key,
        .overlay_address = enrolment.overlay_address,
        .invite = invite.id,
        .hostname = invite.hostname.empty() ? enrolment.hostname : invite.hostname,
        .from = actor,
        .since = now,
        .expires = now + std::chrono::duration_cast<std::chrono::seconds>(waiting_life),
    };
    TRY(m_database.execute("INSERT INTO waiting (" WAITING_COLUMNS
                           ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL)",
                           ByteView(node.key.bytes), node.overlay_address.bytes(), node.invite,
                           node.hostname, node.from, node.since, node.expires));
    TRY(note("waiting", actor, &node.key, node.invite, node.hostname, now));
    return Waiting{std::move(node), true};
}

Result<std::vector<WaitingRecord>> SqliteRegistry::waiting(WallTime now) {
    auto row = TRY(m_database.query(
        "SELECT " WAITING_COLUMNS " FROM waiting WHERE expires > ?1 ORDER BY since, key", now));
    std::vector<WaitingRecord> nodes;
    while (TRY(row.next())) nodes.push_back(TRY(waiting_from(row)));
    return nodes;
}

Result<NodeRecord> SqliteRegistry::approve(const PublicKey& key, const Actor& actor, WallTime now) {
    TRY(expire_waiting(now));
    auto transaction = TRY(Transaction::begin(m_database));
    const auto waits = TRY(find_waiting(key));
    if (!waits) return nobody_waits(key);
    const auto invite = TRY(find_invite(waits->invite, now));
    if (!invite) return damaged("a waiting node without its invite");
    const auto state = state_of(*invite, now);
    if (waits->rejected && state != InviteState::Open)
        return fail(ErrorCode::Conflict,
                    waits->overlay_address.text() + " was rejected, and its invite is " +
                        std::string(name_of(state)) + " since: the node needs another one");
    TRY(forget_waiting(key));
    // Who signs attestations is the gateway that serves: it renews this one when the node comes.
    auto node = TRY(admit({.key = key,
                           .overlay_address = waits->overlay_address,
                           .hostname = waits->hostname,
                           .attested_until = now},
                          *invite, now));
    TRY(note("node-approved", actor, &key, node.invite, node.hostname, now));
    TRY(transaction.commit());
    return node;
}

Result<WaitingRecord> SqliteRegistry::reject(const PublicKey& key, const Actor& actor,
                                             WallTime now) {
    TRY(expire_waiting(now));
    auto transaction = TRY(Transaction::begin(m_database));
    auto waits = TRY(find_waiting(key));
    if (!waits) return nobody_waits(key);
    if (waits->rejected) return *waits;
    waits->rejected = now;
    waits->expires = now + std::chrono::duration_cast<std::chrono::seconds>(waiting_life);
    TRY(m_database.execute("UPDATE waiting SET rejected = ?2, expires = ?3 WHERE key = ?1",
                           ByteView(key.bytes), now, waits->expires));
    TRY(note("node-rejected", actor, &key, waits->invite, waits->hostname, now));
    TRY(transaction.commit());
    return *waits;
}

}  // namespace fortros::gateway
