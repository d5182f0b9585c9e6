#include "gateway/sqlite_registry.h"

#include <algorithm>

#include "gateway/sqlite_schema.h"

namespace fortros::gateway {

static std::unexpected<Error> damaged(std::string_view what) {
    return fail(ErrorCode::InvalidData, "the registry is damaged: " + std::string(what));
}

static WallTime time_of(std::int64_t seconds) { return WallTime{std::chrono::seconds{seconds}}; }

static std::optional<WallTime> time_at(const Query& row, int column) {
    if (row.is_null(column)) return std::nullopt;
    return time_of(row.integer(column));
}

static Result<Role> role_at(const Query& row, int column) {
    const auto role = static_cast<Role>(row.integer(column));
    if (name_of(role) == name_of(Role::Node) && role != Role::Node)
        return damaged("a role that does not exist");
    return role;
}

// --- rows ---

#define NODE_COLUMNS                                                                            \
    "key, overlay_address, role, hostname, invite, enrolled, revoked, serial, attested_until, " \
    "revision"
#define INVITE_COLUMNS "id, uses, used, role, hostname, created, expires, revoked"

static Result<NodeRecord> node_from(const Query& row) {
    const auto key = PublicKey::from_bytes(row.blob(0));
    const auto address = IpAddress::from_bytes(row.blob(1));
    if (!key || !address) return damaged("a node without a key or an address");
    return NodeRecord{
        .key = *key,
        .overlay_address = *address,
        .role = TRY(role_at(row, 2)),
        .hostname = std::string(row.text(3)),
        .invite = std::string(row.text(4)),
        .enrolled = time_of(row.integer(5)),
        .revoked = time_at(row, 6),
        .serial = static_cast<std::uint64_t>(row.integer(7)),
        .attested_until = time_of(row.integer(8)),
        .revision = static_cast<std::uint64_t>(row.integer(9)),
    };
}

static Result<InviteRecord> invite_from(const Query& row) {
    const Role role = TRY(role_at(row, 3));
    return InviteRecord{
        .id = std::string(row.text(0)),
        .uses = static_cast<std::uint32_t>(row.integer(1)),
        .used = static_cast<std::uint32_t>(row.integer(2)),
        .role = role,
        .hostname = std::string(row.text(4)),
        .created = time_of(row.integer(5)),
        .expires = time_of(row.integer(6)),
        .revoked = time_at(row, 7),
    };
}

static AuditEntry audit_from(const Query& row) {
    return AuditEntry{
        .number = static_cast<std::uint64_t>(row.integer(0)),
        .time = time_of(row.integer(1)),
        .event = std::string(row.text(2)),
        .actor = std::string(row.text(3)),
        .node = PublicKey::from_bytes(row.blob(4)),
        .invite = std::string(row.text(5)),
        .detail = std::string(row.text(6)),
    };
}

// --- opening ---

Result<std::unique_ptr<SqliteRegistry>> SqliteRegistry::open(const std::string& path,
                                                             const OrgPrefix& prefix,
                                                             Duration busy_timeout) {
    auto database = TRY(Database::open(path, busy_timeout));
    std::unique_ptr<SqliteRegistry> registry(new SqliteRegistry(std::move(database)));
    TRY(registry->migrate(prefix));
    TRY(registry->check_owner(prefix));
    return registry;
}

static Result<std::int64_t> number_of(Database& database, const char* sql) {
    auto row = TRY(database.query(sql));
    if (!TRY(row.next())) return damaged(sql);
    return row.integer(0);
}

Status SqliteRegistry::migrate(const OrgPrefix& prefix) {
    constexpr auto newest = static_cast<std::int64_t>(registry_migrations.size());
    if (TRY(number_of(m_database, "PRAGMA user_version")) == newest) return {};

    // Asked again under the lock: another process may be migrating, too.
    auto transaction = TRY(Transaction::begin(m_database));
    const auto version = TRY(number_of(m_database, "PRAGMA user_version"));
    if (version > newest)
        return fail(ErrorCode::Unsupported,
                    "database '" + m_database.path() + "' was written by a newer fortros-gateway");
    if (version == 0 && TRY(number_of(m_database, "SELECT count(*) FROM sqlite_schema")) != 0)
        return fail(ErrorCode::InvalidData,
                    "database '" + m_database.path() + "' belongs to another program");
    for (auto i = static_cast<std::size_t>(version); i < registry_migrations.size(); ++i)
        TRY(m_database.run_script(registry_migrations[i]));
    if (version == 0)
        TRY(m_database.execute("INSERT INTO organisation VALUES (1, ?1, 0, 0)",
                               ByteView(prefix.bytes)));
    const std::string marks = "PRAGMA application_id = " + std::to_string(registry_application_id) +
                              "; PRAGMA user_version = " + std::to_string(newest);
    TRY(m_database.run_script(marks.c_str()));
    return transaction.commit();
}

Status SqliteRegistry::check_owner(const OrgPrefix& prefix) {
    if (TRY(number_of(m_database, "PRAGMA application_id")) != registry_application_id)
        return fail(ErrorCode::InvalidData,
                    "database '" + m_database.path() + "' belongs to another program");
    auto row = TRY(m_database.query("SELECT prefix FROM organisation"));
    if (!TRY(row.next())) return damaged("no organisation");
    const auto owner = OrgPrefix::from_bytes(row.blob(0));
    if (!owner) return damaged("no prefix");
    if (*owner != prefix)
        return fail(ErrorCode::Conflict, "database '" + m_database.path() +
                                             "' belongs to the organisation with the prefix " +
                                             owner->text() + ", not " + prefix.text());
    return {};
}

Status SqliteRegistry::check_integrity() {
    auto row = TRY(m_database.query("PRAGMA quick_check(1)"));
    if (!TRY(row.next()) || row.text(0) != "ok") return damaged(row.text(0));
    return {};
}

Result<std::int64_t> SqliteRegistry::data_version() {
    return number_of(m_database, "PRAGMA data_version");
}

// --- nodes ---

Result<std::optional<NodeRecord>> SqliteRegistry::find_node(const PublicKey& key) {
    auto row = TRY(
        m_database.query("SELECT " NODE_COLUMNS " FROM nodes WHERE key = ?1", ByteView(key.bytes)));
    if (!TRY(row.next())) return std::nullopt;
    return TRY(node_from(row));
}

Result<std::vector<NodeRecord>> SqliteRegistry::nodes_since(std::uint64_t revision) {
    auto row = TRY(m_database.query(
        "SELECT " NODE_COLUMNS " FROM nodes WHERE revision > ?1 ORDER BY revision", revision));
    std::vector<NodeRecord> nodes;
    while (TRY(row.next())) nodes.push_back(TRY(node_from(row)));
    return nodes;
}

Result<std::uint64_t> SqliteRegistry::next_revision() {
    return static_cast<std::uint64_t>(TRY(number_of(
        m_database, "UPDATE organisation SET revision = revision + 1 RETURNING revision")));
}

Result<std::uint64_t> SqliteRegistry::next_serial() {
    return static_cast<std::uint64_t>(
        TRY(number_of(m_database, "UPDATE organisation SET serial = serial + 1 RETURNING serial")));
}

Result<Decision> SqliteRegistry::enrol(const Enrolment& enrolment, const Actor& actor,
                                       WallTime now) {
    auto transaction = TRY(Transaction::begin(m_database));
    if (auto known = TRY(find_node(enrolment.key))) {
        if (known->revoked) return RefusalCode::Revoked;
        return Member{*known, false};
    }
    const auto address = enrolment.overlay_address.bytes();
    {
        auto row = TRY(m_database.query("SELECT 1 FROM nodes WHERE overlay_address = ?1", address));
        if (TRY(row.next())) return RefusalCode::AddressTaken;
    }
    const std::string id = invite_id_of(enrolment.invite);
    if (auto refusal = TRY(spend_invite(enrolment.invite, now))) return *refusal;
    const auto invite = TRY(find_invite(id));
    if (!invite) return damaged("a spent invite that is not there");

    const auto serial = TRY(next_serial());
    const auto revision = TRY(next_revision());
    NodeRecord node{
        .key = enrolment.key,
        .overlay_address = enrolment.overlay_address,
        .role = invite->role,
        .hostname = invite->hostname.empty() ? enrolment.hostname : invite->hostname,
        .invite = id,
        .enrolled = now,
        .serial = serial,
        .attested_until = enrolment.attested_until,
        .revision = revision,
    };
    TRY(m_database.execute(
        "INSERT INTO nodes (" NODE_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL, ?7, ?8, ?9)",
        ByteView(node.key.bytes), address, std::int64_t(node.role), node.hostname, node.invite,
        node.enrolled, node.serial, node.attested_until, node.revision));
    TRY(note("enrolled", actor, &node.key, id, node.hostname, now));
    TRY(transaction.commit());
    return Member{std::move(node), true};
}

// Takes one use, or says why there is none to take.
Result<std::optional<RefusalCode>> SqliteRegistry::spend_invite(const InviteHash& hash,
                                                                WallTime now) {
    auto row =
        TRY(m_database.query("UPDATE invites SET used = used + 1 WHERE hash = ?1 AND "
                             "used < uses AND revoked IS NULL AND expires > ?2 RETURNING id",
                             ByteView(hash), now));
    if (!TRY(row.next())) return RefusalCode::InviteInvalid;
    return std::nullopt;
}

Result<NodeRecord> SqliteRegistry::renew(const PublicKey& key, WallTime attested_until) {
    auto transaction = TRY(Transaction::begin(m_database));
    auto node = TRY(find_node(key));
    if (!node || node->revoked)
        return fail(ErrorCode::NotFound, "no member has the key " + key.base64());
    node->serial = TRY(next_serial());
    node->revision = TRY(next_revision());
    node->attested_until = attested_until;
    TRY(m_database.execute(
        "UPDATE nodes SET serial = ?2, attested_until = ?3, revision = ?4 WHERE key = ?1",
        ByteView(key.bytes), node->serial, node->attested_until, node->revision));
    TRY(transaction.commit());
    return *node;
}

Result<NodeRecord> SqliteRegistry::revoke_node(const PublicKey& key, const Actor& actor,
                                               WallTime now) {
    auto transaction = TRY(Transaction::begin(m_database));
    auto node = TRY(find_node(key));
    if (!node) return fail(ErrorCode::NotFound, "no node has the key " + key.base64());
    if (node->revoked) return *node;
    node->revoked = now;
    node->revision = TRY(next_revision());
    TRY(m_database.execute("UPDATE nodes SET revoked = ?2, revision = ?3 WHERE key = ?1",
                           ByteView(key.bytes), now, node->revision));
    TRY(number_revocation(key, now));
    TRY(note("node-revoked", actor, &key, node->invite, node->hostname, now));
    TRY(transaction.commit());
    return *node;
}

// --- gateways ---

Result<std::optional<Attested>> SqliteRegistry::find_gateway(const PublicKey& key) {
    auto row = TRY(m_database.query("SELECT serial, attested_until FROM gateways WHERE key = ?1",
                                    ByteView(key.bytes)));
    if (!TRY(row.next())) return std::nullopt;
    return Attested{static_cast<std::uint64_t>(row.integer(0)), time_of(row.integer(1))};
}

Result<Attested> SqliteRegistry::renew_gateway(const PublicKey& key, WallTime not_after) {
    auto transaction = TRY(Transaction::begin(m_database));
    const Attested attested{TRY(next_serial()), not_after};
    TRY(m_database.execute("INSERT OR REPLACE INTO gateways VALUES (?1, ?2, ?3)",
                           ByteView(key.bytes), attested.serial, attested.not_after));
    TRY(transaction.commit());
    return attested;
}

// --- invites ---

Result<std::optional<InviteRecord>> SqliteRegistry::find_invite(const std::string& id) {
    auto row = TRY(m_database.query("SELECT " INVITE_COLUMNS " FROM invites WHERE id = ?1", id));
    if (!TRY(row.next())) return std::nullopt;
    return TRY(invite_from(row));
}

Result<InviteRecord> SqliteRegistry::create_invite(const NewInvite& invite, const Actor& actor,
                                                   WallTime now) {
    ASSERT(invite.uses > 0);
    auto transaction = TRY(Transaction::begin(m_database));
    const InviteRecord record{
        .id = invite_id_of(invite.hash),
        .uses = invite.uses,
        .role = invite.role,
        .hostname = invite.hostname,
        .created = now,
        .expires = invite.expires,
    };
    TRY(m_database.execute("INSERT INTO invites (hash, " INVITE_COLUMNS
                           ") VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, ?7, NULL)",
                           ByteView(invite.hash), record.id, record.uses, std::int64_t(record.role),
                           record.hostname, record.created, record.expires));
    TRY(note("invite-created", actor, nullptr, record.id,
             "uses=" + std::to_string(record.uses) + " role=" + std::string(name_of(record.role)),
             now));
    TRY(transaction.commit());
    return record;
}

Result<std::vector<InviteRecord>> SqliteRegistry::invites() {
    auto row = TRY(m_database.query("SELECT " INVITE_COLUMNS " FROM invites ORDER BY created, id"));
    std::vector<InviteRecord> invites;
    while (TRY(row.next())) invites.push_back(TRY(invite_from(row)));
    return invites;
}

Result<InviteRecord> SqliteRegistry::revoke_invite(const std::string& id, const Actor& actor,
                                                   WallTime now) {
    auto transaction = TRY(Transaction::begin(m_database));
    auto invite = TRY(find_invite(id));
    if (!invite) return fail(ErrorCode::NotFound, "no invite has the id " + id);
    if (invite->revoked) return *invite;
    invite->revoked = now;
    TRY(m_database.execute("UPDATE invites SET revoked = ?2 WHERE id = ?1", id, now));
    TRY(note("invite-revoked", actor, nullptr, id, "", now));
    TRY(transaction.commit());
    return *invite;
}

// --- the audit log ---

Status SqliteRegistry::note(std::string_view event, const Actor& actor, const PublicKey* node,
                            std::string_view invite, std::string_view detail, WallTime now) {
    const auto key = node == nullptr ? std::nullopt : std::optional(ByteView(node->bytes));
    return m_database.execute(
        "INSERT INTO audit (time, event, actor, node, invite, detail) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        now, event, actor, key, invite, detail);
}

Status SqliteRegistry::record(const AuditEntry& entry) {
    return note(entry.event, entry.actor, entry.node ? &*entry.node : nullptr, entry.invite,
                entry.detail, entry.time);
}

Result<std::vector<AuditEntry>> SqliteRegistry::audit(std::size_t limit) {
    auto row =
        TRY(m_database.query("SELECT number, time, event, actor, node, invite, detail "
                             "FROM audit ORDER BY number DESC LIMIT ?1",
                             std::uint64_t{limit}));
    std::vector<AuditEntry> entries;
    while (TRY(row.next())) entries.push_back(audit_from(row));
    std::ranges::reverse(entries);
    return entries;
}

}  // namespace fortros::gateway
