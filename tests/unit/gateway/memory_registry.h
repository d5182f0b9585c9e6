// The registry's twin in memory: the same promises without a disk, and a fault to order. It forgets
// everything when it goes.
#pragma once

#include <algorithm>
#include <map>
#include <optional>

#include "gateway/audit_chain.h"
#include "gateway/registry.h"

namespace fortros::gateway {

class MemoryRegistry : public Registry {
public:
    // When set, every call that would write fails so and changes nothing.
    std::optional<Error> fault{};
    unsigned writes = 0;

    Result<std::optional<NodeRecord>> find_node(const PublicKey& key) override {
        auto found = m_nodes.find(key);
        if (found == m_nodes.end()) return std::nullopt;
        return found->second;
    }

    Result<Decision> enrol(const Enrolment& enrolment, const Actor& actor, WallTime now) override {
        if (fault) return std::unexpected(*fault);
        expire_waiting(now);
        if (auto known = m_nodes.find(enrolment.key); known != m_nodes.end()) {
            if (known->second.revoked) return RefusalCode::Revoked;
            if (known->second.retired) return RefusalCode::Retired;
            return Member{known->second, false};
        }
        for (const auto& [key, node] : m_nodes)
            if (node.overlay_address == enrolment.overlay_address) return RefusalCode::AddressTaken;
        for (const auto& [key, node] : m_waiting)
            if (key != enrolment.key && node.overlay_address == enrolment.overlay_address)
                return RefusalCode::AddressTaken;
        const auto id = invite_id_of(enrolment.invite);
        if (auto waits = m_waiting.find(enrolment.key);
            waits != m_waiting.end() && waits->second.invite == id) {
            if (waits->second.rejected) return RefusalCode::ApprovalRefused;
            return Waiting{waits->second, false};
        }
        const auto invite = m_invites.find(id);
        if (invite == m_invites.end() ||
            state_of(counted(invite->second), now) != InviteState::Open)
            return RefusalCode::InviteInvalid;
        if (invite->second.approval == Approval::Needed)
            return begin_waiting(enrolment, counted(invite->second), actor, now);
        m_waiting.erase(enrolment.key);
        const auto node = admit(enrolment, invite->second, now);
        note("enrolled", actor, &node.key, node.invite, node.hostname, now);
        return Member{node, true};
    }

    Result<std::vector<WaitingRecord>> waiting(WallTime now) override {
        std::vector<WaitingRecord> nodes;
        for (const auto& [key, node] : m_waiting)
            if (node.expires > now) nodes.push_back(node);
        std::ranges::sort(nodes, {},
                          [](const auto& node) { return std::pair(node.since, node.key); });
        return nodes;
    }

    Result<NodeRecord> approve(const PublicKey& key, const Actor& actor, WallTime now) override {
        if (fault) return std::unexpected(*fault);
        expire_waiting(now);
        const auto found = m_waiting.find(key);
        if (found == m_waiting.end()) return fail(ErrorCode::NotFound, "none");
        const WaitingRecord waits = found->second;
        auto& invite = m_invites.at(waits.invite);
        if (waits.rejected && state_of(counted(invite), now) != InviteState::Open)
            return fail(ErrorCode::Conflict, "no use left");
        m_waiting.erase(found);
        auto node = admit({.key = key,
                           .overlay_address = waits.overlay_address,
                           .hostname = waits.hostname,
                           .attested_until = now},
                          invite, now);
        note("node-approved", actor, &key, node.invite, node.hostname, now);
        return node;
    }

    Result<WaitingRecord> reject(const PublicKey& key, const Actor& actor, WallTime now) override {
        if (fault) return std::unexpected(*fault);
        expire_waiting(now);
        const auto found = m_waiting.find(key);
        if (found == m_waiting.end()) return fail(ErrorCode::NotFound, "none");
        WaitingRecord& waits = found->second;
        if (waits.rejected) return waits;
        ++writes;
        waits.rejected = now;
        waits.expires = now + std::chrono::duration_cast<std::chrono::seconds>(waiting_life);
        note("node-rejected", actor, &key, waits.invite, waits.hostname, now);
        return waits;
    }

    Result<NodeRecord> renew(const PublicKey& key, WallTime attested_until) override {
        if (fault) return std::unexpected(*fault);
        const auto node = m_nodes.find(key);
        if (node == m_nodes.end() || !node->second.is_member())
            return fail(ErrorCode::NotFound, "none");
        ++writes;
        node->second.serial = ++m_serial;
        node->second.revision = ++m_revision;
        node->second.attested_until = attested_until;
        return node->second;
    }

    Result<NodeRecord> revoke_node(const PublicKey& key, const Actor& actor,
                                   WallTime now) override {
        if (fault) return std::unexpected(*fault);
        const auto node = m_nodes.find(key);
        if (node == m_nodes.end()) return fail(ErrorCode::NotFound, "none");
        if (node->second.revoked) return node->second;
        ++writes;
        node->second.revoked = now;
        node->second.revision = ++m_revision;
        number_revocation(key, now);
        note("node-revoked", actor, &key, node->second.invite, node->second.hostname, now);
        return node->second;
    }

    Result<NodeRecord> retire_node(const PublicKey& key, const Actor& actor,
                                   WallTime now) override {
        if (fault) return std::unexpected(*fault);
        const auto node = m_nodes.find(key);
        if (node == m_nodes.end()) return fail(ErrorCode::NotFound, "none");
        if (!node->second.is_member()) return node->second;
        ++writes;
        node->second.retired = now;
        node->second.revision = ++m_revision;
        number_revocation(key, now);
        note("node-retired", actor, &key, node->second.invite, node->second.hostname, now);
        return node->second;
    }

    Result<NodeRecord> mark_key_shared(const PublicKey& key, const Actor& actor,
                                       WallTime now) override {
        if (fault) return std::unexpected(*fault);
        const auto node = m_nodes.find(key);
        if (node == m_nodes.end() || !node->second.is_member())
            return fail(ErrorCode::NotFound, "none");
        ++writes;
        node->second.key_shared = now;
        node->second.revision = ++m_revision;
        note("key-shared", actor, &key, node->second.invite, node->second.hostname, now);
        return node->second;
    }

    Result<NodeRecord> set_lighthouse(const PublicKey& key, const std::vector<Endpoint>& endpoints,
                                      const Actor& actor, WallTime now) override {
        if (fault) return std::unexpected(*fault);
        const auto found = m_nodes.find(key);
        if (found == m_nodes.end() || !found->second.is_member())
            return fail(ErrorCode::NotFound, "none");
        NodeRecord& node = found->second;
        const Role role = endpoints.empty() ? Role::Node : Role::Lighthouse;
        if (node.role == role && node.endpoints == endpoints) return node;
        if (node.endpoints.empty() && !endpoints.empty() &&
            lighthouses()->size() >= lighthouses_limit)
            return too_many_lighthouses();
        ++writes;
        node.role = role;
        node.endpoints = endpoints;
        node.serial = ++m_serial;
        node.revision = ++m_revision;
        note(entry_about_lighthouse(node, actor, now));
        return node;
    }
    Result<std::vector<NodeRecord>> lighthouses() override {
        std::vector<NodeRecord> nodes;
        for (const auto& [key, node] : m_nodes)
            if (node.is_member() && !node.endpoints.empty()) nodes.push_back(node);
        std::ranges::stable_sort(nodes, {}, &NodeRecord::enrolled);
        return nodes;
    }
    Result<std::size_t> count_members() override {
        return static_cast<std::size_t>(std::ranges::count_if(
            m_nodes, [](const auto& entry) { return entry.second.is_member(); }));
    }

    Result<History> history() override { return History{m_history, m_revision}; }
    Result<std::vector<NodeRecord>> nodes_since(std::uint64_t revision,
                                                std::size_t limit = SIZE_MAX) override {
        std::vector<NodeRecord> nodes;
        for (const auto& [key, node] : m_nodes)
            if (node.revision > revision) nodes.push_back(node);
        std::ranges::sort(nodes, {}, &NodeRecord::revision);
        if (nodes.size() > limit) nodes.resize(limit);
        return nodes;
    }

    Result<std::optional<Attested>> find_gateway(const PublicKey& key) override {
        auto found = m_gateways.find(key);
        if (found == m_gateways.end()) return std::nullopt;
        return found->second.attested;
    }

    Result<Attested> renew_gateway(const PublicKey& key, WallTime not_after) override {
        if (fault) return std::unexpected(*fault);
        ++writes;
        auto& gateway = m_gateways[key];
        gateway.key = key;
        gateway.attested = {++m_serial, not_after};
        if (!gateway.endpoints.empty()) gateway.revision = ++m_revision;
        return gateway.attested;
    }

    Status announce_gateway(const GatewayRecord& said, WallTime now) override {
        if (fault) return std::unexpected(*fault);
        ++writes;
        for (auto& [key, gateway] : m_gateways)
            if (key != said.key && !gateway.endpoints.empty() && gateway.serves_until <= now)
                gateway = {.key = key, .attested = gateway.attested, .revision = ++m_revision};
        auto& gateway = m_gateways[said.key];
        if (gateway.endpoints != said.endpoints || gateway.chain != said.chain)
            gateway.revision = ++m_revision;
        gateway = {.key = said.key,
                   .attested = gateway.attested,
                   .endpoints = said.endpoints,
                   .chain = said.chain,
                   .serves_until = said.serves_until,
                   .revision = gateway.revision};
        return {};
    }
    Result<std::vector<GatewayRecord>> gateways() override {
        std::vector<GatewayRecord> gateways;
        for (const auto& [key, gateway] : m_gateways)
            if (!gateway.endpoints.empty()) gateways.push_back(gateway);
        return gateways;
    }
    Result<std::uint64_t> gateways_revision() override {
        std::uint64_t newest = 0;
        for (const auto& [key, gateway] : m_gateways) newest = std::max(newest, gateway.revision);
        return newest;
    }

    Result<InviteRecord> create_invite(const NewInvite& invite, const Actor& actor,
                                       WallTime now) override {
        if (fault) return std::unexpected(*fault);
        ++writes;
        const InviteRecord record{.id = invite_id_of(invite.hash),
                                  .uses = invite.uses,
                                  .approval = invite.approval,
                                  .role = invite.role,
                                  .hostname = invite.hostname,
                                  .created = now,
                                  .expires = invite.expires};
        m_invites.emplace(record.id, record);
        note("invite-created", actor, nullptr, record.id, description_of(record), now);
        return record;
    }

    Result<std::vector<InviteRecord>> invites(WallTime now) override {
        expire_waiting(now);
        std::vector<InviteRecord> invites;
        for (const auto& [id, invite] : m_invites) invites.push_back(counted(invite));
        std::ranges::sort(invites, {}, [](const InviteRecord& invite) {
            return std::pair(invite.created, invite.id);
        });
        return invites;
    }

    Result<InviteRecord> revoke_invite(const std::string& id, const Actor& actor,
                                       WallTime now) override {
        if (fault) return std::unexpected(*fault);
        const auto invite = m_invites.find(id);
        if (invite == m_invites.end()) return fail(ErrorCode::NotFound, "none");
        if (invite->second.revoked) return invite->second;
        ++writes;
        invite->second.revoked = now;
        const auto waiting =
            std::erase_if(m_waiting, [&](const auto& entry) { return entry.second.invite == id; });
        note("invite-revoked", actor, nullptr, id, "waiting=" + std::to_string(waiting), now);
        return invite->second;
    }

    Result<PolicyRecord> policy() override { return m_policy; }

    Result<std::vector<PublicKey>> revoked(WallTime now) override {
        std::vector<PublicKey> keys;
        for (const auto& key : m_revoked)
            if (m_nodes.at(key).shunned_until() >= now) keys.push_back(key);
        if (keys.size() > document_revoked_limit)
            keys.erase(keys.begin(), keys.end() - document_revoked_limit);
        return keys;
    }

    Result<PolicyRecord> change_policy(const PolicyChange& change, const Actor& actor,
                                       WallTime now) override {
        if (fault) return std::unexpected(*fault);
        if (change.signers_since && *change.signers_since < m_policy.signers_since)
            return fail(ErrorCode::InvalidArgument, "a signer that is disowned stays so");
        ++writes;
        const bool renews = change.renew == Renewal::All;
        const WallTime floor = renews ? now + renewal_margin : now;
        next_document(floor);
        if (change.sources) m_policy.sources = *change.sources;
        if (change.signers_since) m_policy.signers_since = *change.signers_since;
        if (renews) {
            m_serial = std::max(m_serial, seconds_of(floor));
            m_revision = std::max(m_revision + 1, seconds_of(floor));
            m_history = m_revision;
            for (auto& [key, node] : m_nodes)
                if (!node.revoked) node.attested_until = {};
            for (auto& [key, gateway] : m_gateways) gateway.attested.not_after = {};
        }
        note({.time = now,
              .event = "policy-changed",
              .actor = actor,
              .detail = description_of(m_policy)});
        return m_policy;
    }

    Status record(const AuditEntry& entry) override {
        if (fault) return std::unexpected(*fault);
        ++writes;
        note(entry);
        return {};
    }

    Result<std::vector<AuditEntry>> audit(std::size_t limit) override {
        const auto skipped = m_audit.size() - std::min(limit, m_audit.size());
        return std::vector(m_audit.begin() + static_cast<std::ptrdiff_t>(skipped), m_audit.end());
    }

    Result<std::vector<AuditLink>> audit_after(std::uint64_t number, std::size_t limit) override {
        std::vector<AuditLink> links;
        AuditHash hash{};
        for (const auto& entry : m_audit) {
            hash = hash_of(hash, entry);
            if (entry.number > number && links.size() < limit) links.push_back({entry, hash});
        }
        return links;
    }
    Result<AuditHead> audit_head() override {
        AuditHead head;
        for (const auto& entry : m_audit) head = {entry.number, hash_of(head.hash, entry)};
        return head;
    }

    Status check() override { return {}; }

    // Nobody else can change it.
    Result<std::unique_ptr<RegistryWatch>> watch() override {
        class Quiet final : public RegistryWatch {
            int fd() const override { return -1; }
            Result<bool> changed() override { return false; }
        };
        return std::make_unique<Quiet>();
    }

private:
    static std::uint64_t seconds_of(WallTime time) {
        return static_cast<std::uint64_t>(time.time_since_epoch().count());
    }
    void next_document(WallTime now) {
        m_policy.serial = std::max(m_policy.serial + 1, seconds_of(now));
    }
    void number_revocation(const PublicKey& key, WallTime now) {
        std::erase(m_revoked, key);
        m_revoked.push_back(key);
        ++m_policy.revocation_number;
        next_document(now);
    }
    void note(std::string_view event, const Actor& actor, const PublicKey* node,
              const std::string& invite, const std::string& detail, WallTime now) {
        note({.time = now,
              .event = std::string(event),
              .actor = actor,
              .node = node == nullptr ? std::nullopt : std::optional(*node),
              .invite = invite,
              .detail = detail});
    }

    // With what is reserved of it.
    InviteRecord counted(InviteRecord invite) const {
        for (const auto& [key, node] : m_waiting)
            if (node.invite == invite.id && !node.rejected) ++invite.waiting;
        return invite;
    }

    void expire_waiting(WallTime now) {
        for (const auto& [key, node] : m_waiting)
            if (node.expires <= now && !node.rejected)
                note("waiting-expired", "gateway", &key, node.invite, node.hostname, now);
        std::erase_if(m_waiting, [&](const auto& entry) { return entry.second.expires <= now; });
    }

    NodeRecord admit(const Enrolment& enrolment, InviteRecord& invite, WallTime now) {
        ++writes;
        ++invite.used;
        const NodeRecord node{
            .key = enrolment.key,
            .overlay_address = enrolment.overlay_address,
            .role = invite.role,
            .hostname = invite.hostname.empty() ? enrolment.hostname : invite.hostname,
            .invite = invite.id,
            .enrolled = now,
            .serial = ++m_serial,
            .attested_until = enrolment.attested_until,
            .revision = ++m_revision,
        };
        m_nodes.emplace(node.key, node);
        return node;
    }

    Decision begin_waiting(const Enrolment& enrolment, const InviteRecord& invite,
                           const Actor& actor, WallTime now) {
        const auto all = std::ranges::count_if(
            m_waiting, [](const auto& entry) { return !entry.second.rejected; });
        if (all >= waiting_limit || invite.waiting >= waiting_per_invite_limit)
            return RefusalCode::Busy;
        ++writes;
        const WaitingRecord node{
            .key = enrolment.key,
            .overlay_address = enrolment.overlay_address,
            .invite = invite.id,
            .hostname = invite.hostname.empty() ? enrolment.hostname : invite.hostname,
            .from = actor,
            .since = now,
            .expires = now + std::chrono::duration_cast<std::chrono::seconds>(waiting_life),
        };
        m_waiting.insert_or_assign(node.key, node);
        note("waiting", actor, &node.key, node.invite, node.hostname, now);
        return Waiting{node, true};
    }

    void note(AuditEntry entry) {
        entry.number = m_audit.size() + 1;
        m_audit.push_back(std::move(entry));
    }

    std::map<PublicKey, NodeRecord> m_nodes;
    std::map<PublicKey, WaitingRecord> m_waiting;
    std::map<PublicKey, GatewayRecord> m_gateways;
    std::map<std::string, InviteRecord> m_invites;
    std::vector<PublicKey> m_revoked;  // oldest first
    PolicyRecord m_policy;
    std::vector<AuditEntry> m_audit;
    std::uint64_t m_revision = 0;
    std::uint64_t m_history = 0;
    std::uint64_t m_serial = 0;
};

}  // namespace fortros::gateway
