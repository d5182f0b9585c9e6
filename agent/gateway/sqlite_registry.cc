#include "gateway/sqlite_registry.h"

#include "gateway/sqlite_rows.h"
#include "gateway/sqlite_schema.h"
#include "gateway/sqlite_watch.h"

namespace fortros::gateway {

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

Status SqliteRegistry::migrate(const OrgPrefix& prefix) {
    constexpr auto newest = static_cast<std::int64_t>(registry_migrations.size());
    if (TRY(number_at(m_database.query("PRAGMA user_version"))) == newest) return {};

    // Asked again under the lock: another process may be migrating, too.
    auto transaction = TRY(Transaction::begin(m_database));
    const auto version = TRY(number_at(m_database.query("PRAGMA user_version")));
    if (version > newest)
        return fail(ErrorCode::Unsupported,
                    "database '" + m_database.path() + "' was written by a newer fortros-gateway");
    if (version == 0 && TRY(number_at(m_database.query("SELECT count(*) FROM sqlite_schema"))) != 0)
        return fail(ErrorCode::InvalidData,
                    "database '" + m_database.path() + "' belongs to another program");
    for (auto i = static_cast<std::size_t>(version); i < registry_migrations.size(); ++i)
        TRY(m_database.run_script(registry_migrations[i]));
    if (version < registry_chain_migration) TRY(chain_old_entries());
    if (version == 0)
        TRY(m_database.execute(
            "INSERT INTO organisation (one, prefix, revision, serial) VALUES (1, ?1, 0, 0)",
            ByteView(prefix.bytes)));
    const std::string marks = "PRAGMA application_id = " + std::to_string(registry_application_id) +
                              "; PRAGMA user_version = " + std::to_string(newest);
    TRY(m_database.run_script(marks.c_str()));
    return transaction.commit();
}

Status SqliteRegistry::check_owner(const OrgPrefix& prefix) {
    if (TRY(number_at(m_database.query("PRAGMA application_id"))) != registry_application_id)
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

Status SqliteRegistry::check() {
    auto row = TRY(m_database.query("PRAGMA quick_check(1)"));
    if (!TRY(row.next()) || row.text(0) != "ok") return damaged(row.text(0));
    return {};
}

Result<std::unique_ptr<RegistryWatch>> SqliteRegistry::watch() {
    return SqliteWatch::create(*this, m_database.path());
}

Result<std::int64_t> SqliteRegistry::data_version() {
    return number_at(m_database.query("PRAGMA data_version"));
}

Status SqliteRegistry::batch(const std::function<void()>& calls) {
    auto transaction = TRY(Transaction::begin(m_database));
    calls();
    return transaction.commit();
}

// --- nodes ---

Result<std::optional<NodeRecord>> SqliteRegistry::find_node(const PublicKey& key) {
    auto row = TRY(
        m_database.query("SELECT " NODE_COLUMNS " FROM nodes WHERE key = ?1", ByteView(key.bytes)));
    if (!TRY(row.next())) return std::nullopt;
    return TRY(node_from(row));
}

Result<std::vector<NodeRecord>> SqliteRegistry::nodes_since(std::uint64_t revision,
                                                            std::size_t limit) {
    auto row = TRY(m_database.query(
        "SELECT " NODE_COLUMNS " FROM nodes WHERE revision > ?1 ORDER BY revision LIMIT ?2",
        revision, static_cast<std::int64_t>(std::min<std::size_t>(limit, INT64_MAX))));
    std::vector<NodeRecord> nodes;
    while (TRY(row.next())) nodes.push_back(TRY(node_from(row)));
    return nodes;
}

Result<History> SqliteRegistry::history() {
    auto row = TRY(m_database.query("SELECT history, revision FROM organisation"));
    if (!TRY(row.next()))
        return fail(ErrorCode::InvalidData, "the registry is damaged: no organisation");
    return History{static_cast<std::uint64_t>(row.integer(0)),
                   static_cast<std::uint64_t>(row.integer(1))};
}

Result<std::size_t> SqliteRegistry::count_members() {
    return static_cast<std::size_t>(TRY(number_at(
        m_database.query("SELECT count(*) FROM nodes WHERE revoked IS NULL AND retired IS NULL"))));
}

Result<std::uint64_t> SqliteRegistry::next_revision() {
    return static_cast<std::uint64_t>(TRY(number_at(
        m_database.query("UPDATE organisation SET revision = revision + 1 RETURNING revision"))));
}

Result<std::uint64_t> SqliteRegistry::next_serial() {
    return static_cast<std::uint64_t>(TRY(number_at(
        m_database.query("UPDATE organisation SET serial = serial + 1 RETURNING serial"))));
}

Result<bool> SqliteRegistry::is_taken(const IpAddress& address, const PublicKey& key) {
    auto row =
        TRY(m_database.query("SELECT 1 FROM nodes WHERE overlay_address = ?1 UNION ALL "
                             "SELECT 1 FROM waiting WHERE overlay_address = ?1 AND key <> ?2",
                             address.bytes(), ByteView(key.bytes)));
    return row.next();
}

Result<Decision> SqliteRegistry::enrol(const Enrolment& enrolment, const Actor& actor,
                                       WallTime now) {
    TRY(expire_waiting(now));
    auto transaction = TRY(Transaction::begin(m_database));
    if (auto known = TRY(find_node(enrolment.key))) {
        if (known->revoked) return RefusalCode::Revoked;
        if (known->retired) return RefusalCode::Retired;
        return Member{*known, false};
    }
    if (TRY(is_taken(enrolment.overlay_address, enrolment.key))) return RefusalCode::AddressTaken;
    const std::string id = invite_id_of(enrolment.invite);
    const auto waits = TRY(find_waiting(enrolment.key));
    if (waits && waits->invite == id) {
        if (waits->rejected) return RefusalCode::ApprovalRefused;
        return Waiting{*waits, false};
    }
    const auto invite = TRY(find_invite(id, now));
    if (!invite || !TRY(has_hash(id, enrolment.invite)) ||
        state_of(*invite, now) != InviteState::Open)
        return RefusalCode::InviteInvalid;
    // It comes with another invite, which may be used: that one decides from here on.
    if (waits) TRY(forget_waiting(enrolment.key));

    if (invite->approval == Approval::Needed) {
        auto decision = TRY(begin_waiting(enrolment, *invite, actor, now));
        if (!std::holds_alternative<RefusalCode>(decision)) TRY(transaction.commit());
        return decision;
    }
    auto node = TRY(admit(enrolment, *invite, now));
    TRY(note("enrolled", actor, &node.key, id, node.hostname, now));
    TRY(transaction.commit());
    return Member{std::move(node), true};
}

// Spends a use of an invite that has one, and makes the key a member.
Result<NodeRecord> SqliteRegistry::admit(const Enrolment& enrolment, const InviteRecord& invite,
                                         WallTime now) {
    TRY(m_database.execute("UPDATE invites SET used = used + 1 WHERE id = ?1", invite.id));
    const auto serial = TRY(next_serial());
    const auto revision = TRY(next_revision());
    NodeRecord node{
        .key = enrolment.key,
        .overlay_address = enrolment.overlay_address,
        .role = invite.role,
        .hostname = invite.hostname.empty() ? enrolment.hostname : invite.hostname,
        .invite = invite.id,
        .enrolled = now,
        .serial = serial,
        .attested_until = enrolment.attested_until,
        .revision = revision,
    };
    TRY(m_database.execute(
        "INSERT INTO nodes (key, overlay_address, role, hostname, invite, enrolled, serial, "
        "attested_until, revision) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        ByteView(node.key.bytes), node.overlay_address.bytes(), std::int64_t(node.role),
        node.hostname, node.invite, node.enrolled, node.serial, node.attested_until,
        node.revision));
    return node;
}

Result<NodeRecord> SqliteRegistry::renew(const PublicKey& key, WallTime attested_until) {
    auto transaction = TRY(Transaction::begin(m_database));
    auto node = TRY(find_node(key));
    if (!node || !node->is_member())
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

Result<NodeRecord> SqliteRegistry::retire_node(const PublicKey& key, const Actor& actor,
                                               WallTime now) {
    auto transaction = TRY(Transaction::begin(m_database));
    auto node = TRY(find_node(key));
    if (!node) return fail(ErrorCode::NotFound, "no node has the key " + key.base64());
    if (!node->is_member()) return *node;
    node->retired = now;
    node->revision = TRY(next_revision());
    TRY(m_database.execute("UPDATE nodes SET retired = ?2, revision = ?3 WHERE key = ?1",
                           ByteView(key.bytes), now, node->revision));
    TRY(number_revocation(key, now));
    TRY(note("node-retired", actor, &key, node->invite, node->hostname, now));
    TRY(transaction.commit());
    return *node;
}

Result<NodeRecord> SqliteRegistry::mark_key_shared(const PublicKey& key, const Actor& actor,
                                                   WallTime now) {
    auto transaction = TRY(Transaction::begin(m_database));
    auto node = TRY(find_node(key));
    if (!node || !node->is_member())
        return fail(ErrorCode::NotFound, "no member has the key " + key.base64());
    node->key_shared = now;
    node->revision = TRY(next_revision());
    TRY(m_database.execute("UPDATE nodes SET key_shared = ?2, revision = ?3 WHERE key = ?1",
                           ByteView(key.bytes), now, node->revision));
    TRY(note("key-shared", actor, &key, node->invite, node->hostname, now));
    TRY(transaction.commit());
    return *node;
}

Result<NodeRecord> SqliteRegistry::set_lighthouse(const PublicKey& key,
                                                  const std::vector<Endpoint>& endpoints,
                                                  const Actor& actor, WallTime now) {
    ASSERT(endpoints.size() <= member_endpoints_limit);
    auto transaction = TRY(Transaction::begin(m_database));
    auto node = TRY(find_node(key));
    if (!node || !node->is_member())
        return fail(ErrorCode::NotFound, "no member has the key " + key.base64());
    const Role role = endpoints.empty() ? Role::Node : Role::Lighthouse;
    if (node->role == role && node->endpoints == endpoints) return *node;
    if (node->endpoints.empty() && !endpoints.empty() &&
        TRY(lighthouses()).size() >= lighthouses_limit)
        return too_many_lighthouses();
    node->role = role;
    node->endpoints = endpoints;
    node->serial = TRY(next_serial());
    node->revision = TRY(next_revision());
    TRY(m_database.execute(
        "UPDATE nodes SET role = ?2, endpoints = ?3, serial = ?4, revision = ?5 WHERE key = ?1",
        ByteView(key.bytes), std::int64_t(node->role), text_of(endpoints), node->serial,
        node->revision));
    TRY(record(entry_about_lighthouse(*node, actor, now)));
    TRY(transaction.commit());
    return *node;
}

Result<std::vector<NodeRecord>> SqliteRegistry::lighthouses() {
    auto row =
        TRY(m_database.query("SELECT " NODE_COLUMNS " FROM nodes WHERE endpoints <> '' AND revoked "
                             "IS NULL AND retired IS NULL ORDER BY enrolled, key"));
    std::vector<NodeRecord> nodes;
    while (TRY(row.next())) nodes.push_back(TRY(node_from(row)));
    return nodes;
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

Result<std::optional<InviteRecord>> SqliteRegistry::find_invite(const std::string& id,
                                                                WallTime now) {
    auto row =
        TRY(m_database.query("SELECT " INVITE_COLUMNS " FROM invites WHERE id = ?2", now, id));
    if (!TRY(row.next())) return std::nullopt;
    return TRY(invite_from(row));
}

// An id is only a part of the hash. The hash is of 192 random bits: how long a comparison of it
// takes tells nothing about the invite.
Result<bool> SqliteRegistry::has_hash(const std::string& id, const InviteHash& hash) {
    auto row = TRY(
        m_database.query("SELECT 1 FROM invites WHERE id = ?1 AND hash = ?2", id, ByteView(hash)));
    return row.next();
}

Result<InviteRecord> SqliteRegistry::create_invite(const NewInvite& invite, const Actor& actor,
                                                   WallTime now) {
    ASSERT(invite.uses > 0);
    auto transaction = TRY(Transaction::begin(m_database));
    InviteRecord record{
        .id = invite_id_of(invite.hash),
        .uses = invite.uses,
        .approval = invite.approval,
        .role = invite.role,
        .hostname = invite.hostname,
        .created = now,
        .expires = invite.expires,
    };
    TRY(m_database.execute(
        "INSERT INTO invites (hash, id, uses, used, approval, role, hostname, created, expires) "
        "VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, ?7, ?8)",
        ByteView(invite.hash), record.id, record.uses, std::int64_t(record.approval),
        std::int64_t(record.role), record.hostname, record.created, record.expires));
    TRY(note("invite-created", actor, nullptr, record.id, description_of(record), now));
    TRY(transaction.commit());
    return record;
}

Result<std::vector<InviteRecord>> SqliteRegistry::invites(WallTime now) {
    auto row =
        TRY(m_database.query("SELECT " INVITE_COLUMNS " FROM invites ORDER BY created, id", now));
    std::vector<InviteRecord> invites;
    while (TRY(row.next())) invites.push_back(TRY(invite_from(row)));
    return invites;
}

Result<InviteRecord> SqliteRegistry::revoke_invite(const std::string& id, const Actor& actor,
                                                   WallTime now) {
    auto transaction = TRY(Transaction::begin(m_database));
    auto invite = TRY(find_invite(id, now));
    if (!invite) return fail(ErrorCode::NotFound, "no invite has the id " + id);
    if (invite->revoked) return *invite;
    invite->revoked = now;
    TRY(m_database.execute("UPDATE invites SET revoked = ?2 WHERE id = ?1", id, now));
    TRY(m_database.execute("DELETE FROM waiting WHERE invite = ?1", id));
    TRY(note("invite-revoked", actor, nullptr, id, "waiting=" + std::to_string(invite->waiting),
             now));
    invite->waiting = 0;
    TRY(transaction.commit());
    return *invite;
}

}  // namespace fortros::gateway
