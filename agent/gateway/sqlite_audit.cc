// The part of the registry about its audit log: each entry with its hash, the newest one known.
#include <algorithm>

#include "gateway/audit_chain.h"
#include "gateway/sqlite_registry.h"
#include "gateway/sqlite_rows.h"

namespace fortros::gateway {

static constexpr std::size_t page_entries = 500;

Result<AuditHead> SqliteRegistry::audit_head() {
    auto row = TRY(m_database.query("SELECT number, hash FROM audit_head"));
    if (!TRY(row.next())) return damaged("no head of the audit log");
    const auto hash = audit_hash_at(row, 1);
    if (!hash) return damaged("a hash that is none");
    return AuditHead{static_cast<std::uint64_t>(row.integer(0)), *hash};
}

Status SqliteRegistry::set_audit_head(std::uint64_t number, const AuditHash& hash) {
    return m_database.execute("UPDATE audit_head SET number = ?1, hash = ?2", number,
                              ByteView(hash));
}

Status SqliteRegistry::note(std::string_view event, const Actor& actor, const PublicKey* node,
                            std::string_view invite, std::string_view detail, WallTime now) {
    const AuditHead head = TRY(audit_head());
    const AuditEntry entry{.number = head.number + 1,
                           .time = now,
                           .event = std::string(event),
                           .actor = actor,
                           .node = node == nullptr ? std::nullopt : std::optional(*node),
                           .invite = std::string(invite),
                           .detail = std::string(detail)};
    const auto hash = hash_of(head.hash, entry);
    const auto key = node == nullptr ? std::nullopt : std::optional(ByteView(node->bytes));
    TRY(m_database.execute("INSERT INTO audit (" AUDIT_COLUMNS
                           ", hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                           entry.number, now, event, actor, key, invite, detail, ByteView(hash)));
    return set_audit_head(entry.number, hash);
}

Status SqliteRegistry::record(const AuditEntry& entry) {
    auto transaction = TRY(Transaction::begin(m_database));
    TRY(note(entry.event, entry.actor, entry.node ? &*entry.node : nullptr, entry.invite,
             entry.detail, entry.time));
    return transaction.commit();
}

Result<std::vector<AuditEntry>> SqliteRegistry::audit(std::size_t limit) {
    auto row = TRY(m_database.query(
        "SELECT " AUDIT_COLUMNS " FROM audit ORDER BY number DESC LIMIT ?1", std::uint64_t{limit}));
    std::vector<AuditEntry> entries;
    while (TRY(row.next())) entries.push_back(audit_from(row));
    std::ranges::reverse(entries);
    return entries;
}

Result<std::vector<AuditLink>> SqliteRegistry::audit_after(std::uint64_t number,
                                                           std::size_t limit) {
    auto row = TRY(m_database.query("SELECT " AUDIT_COLUMNS
                                    ", hash FROM audit WHERE number > ?1 ORDER BY number LIMIT ?2",
                                    number, std::uint64_t{limit}));
    std::vector<AuditLink> links;
    while (TRY(row.next())) links.push_back({audit_from(row), audit_hash_at(row, 7)});
    return links;
}

// Of a file from before there was a chain: whoever changes them from now on is found out.
Status SqliteRegistry::chain_old_entries() {
    AuditHead head = TRY(audit_head());
    for (;;) {
        const auto page = TRY(audit_after(head.number, page_entries));
        if (page.empty()) break;
        for (const auto& link : page) {
            head = {link.entry.number, hash_of(head.hash, link.entry)};
            TRY(m_database.execute("UPDATE audit SET hash = ?2 WHERE number = ?1", head.number,
                                   ByteView(head.hash)));
        }
    }
    return set_audit_head(head.number, head.hash);
}

}  // namespace fortros::gateway
