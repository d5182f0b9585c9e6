// The registry in one SQLite file, for a gateway that serves its org alone. Several processes may
// have it open: the server and admin commands. It never answers before the disk has what it says.
#pragma once

#include <memory>
#include <string>

#include "gateway/registry.h"
#include "gateway/sqlite.h"

namespace fortros::gateway {

class SqliteRegistry final : public Registry {
public:
    // Opens, creates or migrates. Refuses a file that is not a registry, was written by a newer
    // version (Unsupported), or belongs to an org with another prefix (Conflict).
    static Result<std::unique_ptr<SqliteRegistry>> open(const std::string& path,
                                                        const OrgPrefix& prefix,
                                                        Duration busy_timeout);

    Result<std::optional<NodeRecord>> find_node(const PublicKey& key) override;
    Result<Decision> enrol(const Enrolment& enrolment, const Actor& actor, WallTime now) override;
    Result<NodeRecord> renew(const PublicKey& key, WallTime attested_until) override;
    Result<std::vector<WaitingRecord>> waiting(WallTime now) override;
    Result<NodeRecord> approve(const PublicKey& key, const Actor& actor, WallTime now) override;
    Result<WaitingRecord> reject(const PublicKey& key, const Actor& actor, WallTime now) override;
    Result<NodeRecord> revoke_node(const PublicKey& key, const Actor& actor, WallTime now) override;
    Result<NodeRecord> retire_node(const PublicKey& key, const Actor& actor, WallTime now) override;
    Result<NodeRecord> mark_key_shared(const PublicKey& key, const Actor& actor,
                                       WallTime now) override;
    Result<NodeRecord> set_lighthouse(const PublicKey& key, const std::vector<Endpoint>& endpoints,
                                      const Actor& actor, WallTime now) override;
    Result<std::vector<NodeRecord>> lighthouses() override;
    Result<std::vector<NodeRecord>> nodes_since(std::uint64_t revision,
                                                std::size_t limit = SIZE_MAX) override;
    Result<History> history() override;
    Result<std::size_t> count_members() override;
    Result<std::optional<Attested>> find_gateway(const PublicKey& key) override;
    Result<Attested> renew_gateway(const PublicKey& key, WallTime not_after) override;
    Result<InviteRecord> create_invite(const NewInvite& invite, const Actor& actor,
                                       WallTime now) override;
    Result<std::vector<InviteRecord>> invites(WallTime now) override;
    Result<InviteRecord> revoke_invite(const std::string& id, const Actor& actor,
                                       WallTime now) override;
    Result<PolicyRecord> policy() override;
    Result<std::vector<PublicKey>> revoked(WallTime now) override;
    Result<PolicyRecord> change_policy(const PolicyChange& change, const Actor& actor,
                                       WallTime now) override;
    Status record(const AuditEntry& entry) override;
    Result<std::vector<AuditEntry>> audit(std::size_t limit) override;
    Result<std::vector<AuditLink>> audit_after(std::uint64_t number, std::size_t limit) override;
    Result<AuditHead> audit_head() override;

    Status batch(const std::function<void()>& calls) override;
    // The whole file; the error has SQLite's words.
    Status check() override;
    Result<std::unique_ptr<RegistryWatch>> watch() override;

    // All of it, as it is at this moment: a backup.
    Result<SecretBytes> image() { return m_database.image(); }

    // A number that changes when another connection has committed: the cheap question behind
    // "did an admin command change something?".
    Result<std::int64_t> data_version();

private:
    explicit SqliteRegistry(Database database) : m_database(std::move(database)) {}

    Status migrate(const OrgPrefix& prefix);
    Status check_owner(const OrgPrefix& prefix);
    Result<std::uint64_t> next_revision();
    Result<std::uint64_t> next_serial();
    Result<std::optional<InviteRecord>> find_invite(const std::string& id, WallTime now);
    Result<bool> has_hash(const std::string& id, const InviteHash& hash);
    // Whether a node has the address, or waits with it under another key.
    Result<bool> is_taken(const IpAddress& address, const PublicKey& key);
    Result<NodeRecord> admit(const Enrolment& enrolment, const InviteRecord& invite, WallTime now);

    // sqlite_waiting.cc
    Result<std::optional<WaitingRecord>> find_waiting(const PublicKey& key);
    Status forget_waiting(const PublicKey& key);
    Status expire_waiting(WallTime now);
    Result<Decision> begin_waiting(const Enrolment& enrolment, const InviteRecord& invite,
                                   const Actor& actor, WallTime now);

    // sqlite_policy.cc
    Status next_document(WallTime now);
    Status number_revocation(const PublicKey& key, WallTime now);

    // sqlite_audit.cc
    Status chain_old_entries();
    Status set_audit_head(std::uint64_t number, const AuditHash& hash);
    Status note(std::string_view event, const Actor& actor, const PublicKey* node,
                std::string_view invite, std::string_view detail, WallTime now);

    Database m_database;
};

}  // namespace fortros::gateway
