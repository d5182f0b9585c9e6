#include "gateway/etcd_registry.h"

#include <algorithm>

#include "gateway/etcd_transact.h"

namespace fortros::gateway {

Result<std::unique_ptr<EtcdRegistry>> EtcdRegistry::open(const EtcdSettings& settings,
                                                         const OrgPrefix& prefix, Duration limit) {
    auto store = TRY(EtcdStore::open(settings, prefix, limit));
    return std::unique_ptr<EtcdRegistry>(new EtcdRegistry(std::move(store)));
}

// --- nodes ---

// A member is known from the mirror. Who is not in it may have come in elsewhere just now.
Result<std::optional<NodeRecord>> EtcdRegistry::find_node(const PublicKey& key) {
    m_store->begin();
    TRY(m_store->require_recent());
    const auto* node = mirror().find_node(key);
    if (node == nullptr && !TRY(m_store->is_current())) node = mirror().find_node(key);
    if (node == nullptr) return std::nullopt;
    return mirror().record_of(*node);
}

Result<std::vector<NodeRecord>> EtcdRegistry::nodes_since(std::uint64_t revision,
                                                          std::size_t limit) {
    m_store->begin();
    TRY(m_store->require_recent());
    std::vector<NodeRecord> nodes;
    for (const auto* node : mirror().nodes_since(revision, limit))
        nodes.push_back(mirror().record_of(*node));
    return nodes;
}

Result<History> EtcdRegistry::history() {
    m_store->begin();
    TRY(m_store->require_recent());
    return History{mirror().head().history, mirror().head().revision};
}

Result<std::size_t> EtcdRegistry::count_members() {
    m_store->begin();
    TRY(m_store->require_recent());
    return mirror().count_members();
}

Result<EtcdNode> EtcdRegistry::known(const PublicKey& key) const {
    const auto* node = mirror().find_node(key);
    if (node == nullptr) return fail(ErrorCode::NotFound, "no node has the key " + key.base64());
    return *node;
}

Result<EtcdNode> EtcdRegistry::member(const PublicKey& key) const {
    const auto* node = mirror().find_node(key);
    if (node == nullptr || !node->record.is_member())
        return fail(ErrorCode::NotFound, "no member has the key " + key.base64());
    return *node;
}

NodeRecord EtcdRegistry::put_node(EtcdChange& change, EtcdNode node) {
    node.record.revision = ++change.head.revision;
    change.put(etcd_node_name(node.record.key), to_json_text(node));
    return std::move(node.record);
}

Result<Decision> EtcdRegistry::enrol(const Enrolment& enrolment, const Actor& actor, WallTime now) {
    TRY(expire_waiting(now));
    return transact<Decision>(
        [&](EtcdChange& change) { return decide_enrolment(change, enrolment, actor, now); });
}

Result<Decision> EtcdRegistry::decide_enrolment(EtcdChange& change, const Enrolment& enrolment,
                                                const Actor& actor, WallTime now) const {
    if (const auto* known = mirror().find_node(enrolment.key)) {
        if (known->record.revoked) return RefusalCode::Revoked;
        if (known->record.retired) return RefusalCode::Retired;
        return Member{mirror().record_of(*known), false};
    }
    if (mirror().is_taken(enrolment.overlay_address, enrolment.key))
        return RefusalCode::AddressTaken;
    const std::string id = invite_id_of(enrolment.invite);
    const auto* waits = mirror().find_waiting(enrolment.key);
    if (waits != nullptr && waits->invite == id) {
        if (waits->rejected) return RefusalCode::ApprovalRefused;
        return Waiting{*waits, false};
    }
    // An id is only a part of the hash. The hash is of 192 random bits: how long a comparison of it
    // takes tells nothing about the invite.
    const auto* invite = mirror().find_invite(id);
    if (invite == nullptr || invite->hash != enrolment.invite ||
        state_of(mirror().record_of(*invite, now), now) != InviteState::Open)
        return RefusalCode::InviteInvalid;
    if (invite->record.approval == Approval::Needed)
        return begin_waiting(change, enrolment, *invite, actor, now);
    // It may have waited with another invite: this one decides.
    if (waits != nullptr) change.erase(etcd_waiting_name(waits->invite, waits->key));
    const auto node = admit(change, enrolment, *invite, now);
    change.note(entry_about("enrolled", actor, node, now));
    return Member{node, true};
}

// Spends a use of an invite that has one, and makes the key a member.
NodeRecord EtcdRegistry::admit(EtcdChange& change, const Enrolment& enrolment,
                               const EtcdInvite& invite, WallTime now) const {
    EtcdInvite spent = invite;
    ++spent.record.used;
    change.put(etcd_invite_name(spent.record.id), to_json_text(spent));
    const auto& given = invite.record;
    return put_node(change,
                    {.record = {
                         .key = enrolment.key,
                         .overlay_address = enrolment.overlay_address,
                         .role = given.role,
                         .hostname = given.hostname.empty() ? enrolment.hostname : given.hostname,
                         .invite = given.id,
                         .enrolled = now,
                         .serial = ++change.head.serial,
                         .attested_until = enrolment.attested_until,
                     }});
}

Result<NodeRecord> EtcdRegistry::renew(const PublicKey& key, WallTime attested_until) {
    return transact<NodeRecord>([&](EtcdChange& change) -> Result<NodeRecord> {
        auto node = TRY(member(key));
        node.record.serial = ++change.head.serial;
        node.record.attested_until = attested_until;
        return put_node(change, std::move(node));
    });
}

static std::uint64_t seconds_of(WallTime time) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(time.time_since_epoch().count(), 0));
}

// The next document's serial: by the clock, so that it grows even past what was lost.
static void next_document(EtcdHead& head, WallTime now) {
    head.policy.serial = std::max(head.policy.serial + 1, seconds_of(now));
}

static void number_revocation(EtcdHead& head, EtcdNode& node, WallTime now) {
    next_document(head, now);
    node.revocation = ++head.policy.revocation_number;
}

Result<NodeRecord> EtcdRegistry::revoke_node(const PublicKey& key, const Actor& actor,
                                             WallTime now) {
    return transact<NodeRecord>([&](EtcdChange& change) -> Result<NodeRecord> {
        auto node = TRY(known(key));
        if (node.record.revoked) return node.record;
        node.record.revoked = now;
        number_revocation(change.head, node, now);
        change.note(entry_about("node-revoked", actor, node.record, now));
        return put_node(change, std::move(node));
    });
}

Result<NodeRecord> EtcdRegistry::retire_node(const PublicKey& key, const Actor& actor,
                                             WallTime now) {
    return transact<NodeRecord>([&](EtcdChange& change) -> Result<NodeRecord> {
        auto node = TRY(known(key));
        if (!node.record.is_member()) return node.record;
        node.record.retired = now;
        number_revocation(change.head, node, now);
        change.note(entry_about("node-retired", actor, node.record, now));
        return put_node(change, std::move(node));
    });
}

Result<NodeRecord> EtcdRegistry::mark_key_shared(const PublicKey& key, const Actor& actor,
                                                 WallTime now) {
    return transact<NodeRecord>([&](EtcdChange& change) -> Result<NodeRecord> {
        auto node = TRY(member(key));
        node.record.key_shared = now;
        change.note(entry_about("key-shared", actor, node.record, now));
        return put_node(change, std::move(node));
    });
}

Result<NodeRecord> EtcdRegistry::set_lighthouse(const PublicKey& key,
                                                const std::vector<Endpoint>& endpoints,
                                                const Actor& actor, WallTime now) {
    ASSERT(endpoints.size() <= member_endpoints_limit);
    return transact<NodeRecord>([&](EtcdChange& change) -> Result<NodeRecord> {
        auto node = TRY(member(key));
        NodeRecord& record = node.record;
        const Role role = endpoints.empty() ? Role::Node : Role::Lighthouse;
        if (record.role == role && record.endpoints == endpoints) return mirror().record_of(node);
        if (record.endpoints.empty() && !endpoints.empty() &&
            mirror().lighthouses().size() >= lighthouses_limit)
            return too_many_lighthouses();
        // With its new serial it would not count as expired any more, where a renewal says so.
        record.attested_until = mirror().record_of(node).attested_until;
        record.role = role;
        record.endpoints = endpoints;
        record.serial = ++change.head.serial;
        change.note(entry_about_lighthouse(record, actor, now));
        return put_node(change, std::move(node));
    });
}

Result<std::vector<NodeRecord>> EtcdRegistry::lighthouses() {
    m_store->begin();
    TRY(m_store->require_recent());
    std::vector<NodeRecord> nodes;
    for (const auto* node : mirror().lighthouses()) nodes.push_back(mirror().record_of(*node));
    return nodes;
}

// --- policy ---

Result<PolicyRecord> EtcdRegistry::policy() {
    m_store->begin();
    TRY(m_store->require_recent());
    return mirror().head().policy;
}

Result<std::vector<PublicKey>> EtcdRegistry::revoked(WallTime now) {
    m_store->begin();
    TRY(m_store->require_recent());
    std::vector<PublicKey> keys;
    const auto& all = mirror().revocations();
    for (auto it = all.rbegin(); it != all.rend() && keys.size() < document_revoked_limit; ++it)
        if (mirror().find_node(it->second)->record.shunned_until() >= now)
            keys.push_back(it->second);
    std::ranges::reverse(keys);
    return keys;
}

Result<PolicyRecord> EtcdRegistry::change_policy(const PolicyChange& wanted, const Actor& actor,
                                                 WallTime now) {
    return transact<PolicyRecord>([&](EtcdChange& change) -> Result<PolicyRecord> {
        EtcdHead& head = change.head;
        if (wanted.signers_since && *wanted.signers_since < head.policy.signers_since)
            return fail(ErrorCode::InvalidArgument, "a signer that is disowned stays so",
                        "those from " + to_rfc3339(head.policy.signers_since) + " on count");
        const bool renews = wanted.renew == Renewal::All;
        const WallTime floor = renews ? now + renewal_margin : now;
        next_document(head, floor);
        if (wanted.sources) head.policy.sources = *wanted.sources;
        if (wanted.signers_since) head.policy.signers_since = *wanted.signers_since;
        if (renews) {
            head.renewed = head.serial;
            head.serial = std::max(head.serial, seconds_of(floor));
            head.revision = std::max(head.revision + 1, seconds_of(floor));
            head.history = head.revision;
        }
        change.note({.time = now,
                     .event = "policy-changed",
                     .actor = actor,
                     .detail = description_of(head.policy)});
        return head.policy;
    });
}

// --- the audit log ---

Status EtcdRegistry::record(const AuditEntry& entry) {
    return transact<bool>([&](EtcdChange& change) -> Result<bool> {
               change.note(entry);
               return true;
           })
        .transform([](bool) {});
}

Result<std::vector<AuditEntry>> EtcdRegistry::audit(std::size_t limit) {
    m_store->begin();
    return m_store->audit(limit);
}

Result<std::vector<AuditLink>> EtcdRegistry::audit_after(std::uint64_t number, std::size_t limit) {
    m_store->begin();
    return m_store->audit_after(number, limit);
}

Result<AuditHead> EtcdRegistry::audit_head() {
    m_store->begin();
    TRY(m_store->is_current());
    return mirror().head().audit;
}

// --- following ---

namespace {

class EtcdWatch final : public RegistryWatch {
public:
    EtcdWatch(EtcdStore& store, int fd) : m_store(store), m_fd(fd) {}
    int fd() const override { return m_fd; }
    Result<bool> changed() override { return m_store.changed(); }

private:
    EtcdStore& m_store;
    int m_fd;
};

}  // namespace

Result<std::unique_ptr<RegistryWatch>> EtcdRegistry::watch() {
    const int fd = TRY(m_store->follow());
    return std::make_unique<EtcdWatch>(*m_store, fd);
}

}  // namespace fortros::gateway
