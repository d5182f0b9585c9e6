// The registry's twin in memory: the same promises without a disk, and a fault to order. It forgets
// everything when it goes.
#pragma once

#include <algorithm>
#include <map>
#include <optional>

#include "gateway/registry.h"

namespace fortros::gateway {

class MemoryRegistry final : public Registry {
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
        if (auto known = m_nodes.find(enrolment.key); known != m_nodes.end()) {
            if (known->second.revoked) return RefusalCode::Revoked;
            return Member{known->second, false};
        }
        for (const auto& [key, node] : m_nodes)
            if (node.overlay_address == enrolment.overlay_address) return RefusalCode::AddressTaken;
        const auto invite = m_invites.find(invite_id_of(enrolment.invite));
        if (invite == m_invites.end() || state_of(invite->second, now) != InviteState::Open)
            return RefusalCode::InviteInvalid;
        ++writes;
        ++invite->second.used;
        const NodeRecord node{
            .key = enrolment.key,
            .overlay_address = enrolment.overlay_address,
            .role = invite->second.role,
            .hostname =
                invite->second.hostname.empty() ? enrolment.hostname : invite->second.hostname,
            .invite = invite->first,
            .enrolled = now,
            .serial = ++m_serial,
            .attested_until = enrolment.attested_until,
            .revision = ++m_revision,
        };
        m_nodes.emplace(node.key, node);
        note({.time = now,
              .event = "enrolled",
              .actor = actor,
              .node = node.key,
              .invite = node.invite,
              .detail = node.hostname});
        return Member{node, true};
    }

    Result<NodeRecord> renew(const PublicKey& key, WallTime attested_until) override {
        if (fault) return std::unexpected(*fault);
        const auto node = m_nodes.find(key);
        if (node == m_nodes.end() || node->second.revoked) return fail(ErrorCode::NotFound, "none");
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
        m_revoked.push_back(key);
        ++m_policy.revocation_number;
        next_document(now);
        note({.time = now,
              .event = "node-revoked",
              .actor = actor,
              .node = key,
              .invite = node->second.invite,
              .detail = node->second.hostname});
        return node->second;
    }

    Result<std::vector<NodeRecord>> nodes_since(std::uint64_t revision) override {
        std::vector<NodeRecord> nodes;
        for (const auto& [key, node] : m_nodes)
            if (node.revision > revision) nodes.push_back(node);
        std::ranges::sort(nodes, {}, &NodeRecord::revision);
        return nodes;
    }

    Result<std::optional<Attested>> find_gateway(const PublicKey& key) override {
        auto found = m_gateways.find(key);
        if (found == m_gateways.end()) return std::nullopt;
        return found->second;
    }

    Result<Attested> renew_gateway(const PublicKey& key, WallTime not_after) override {
        if (fault) return std::unexpected(*fault);
        ++writes;
        return m_gateways[key] = Attested{++m_serial, not_after};
    }

    Result<InviteRecord> create_invite(const NewInvite& invite, const Actor& actor,
                                       WallTime now) override {
        if (fault) return std::unexpected(*fault);
        ++writes;
        const InviteRecord record{.id = invite_id_of(invite.hash),
                                  .uses = invite.uses,
                                  .role = invite.role,
                                  .hostname = invite.hostname,
                                  .created = now,
                                  .expires = invite.expires};
        m_invites.emplace(record.id, record);
        note({.time = now,
              .event = "invite-created",
              .actor = actor,
              .invite = record.id,
              .detail = "uses=" + std::to_string(record.uses) +
                        " role=" + std::string(name_of(record.role))});
        return record;
    }

    Result<std::vector<InviteRecord>> invites() override {
        std::vector<InviteRecord> invites;
        for (const auto& [id, invite] : m_invites) invites.push_back(invite);
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
        note({.time = now, .event = "invite-revoked", .actor = actor, .invite = id});
        return invite->second;
    }

    Result<PolicyRecord> policy() override { return m_policy; }

    Result<std::vector<PublicKey>> revoked(WallTime now) override {
        std::vector<PublicKey> keys;
        for (const auto& key : m_revoked)
            if (m_nodes.at(key).attested_until >= now) keys.push_back(key);
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
        next_document(now);
        if (change.sources) m_policy.sources = *change.sources;
        if (change.signers_since) m_policy.signers_since = *change.signers_since;
        if (change.renew == Renewal::All) {
            m_serial = std::max(m_serial, seconds_of(now));
            for (auto& [key, node] : m_nodes)
                if (!node.revoked) node.attested_until = {};
            for (auto& [key, gateway] : m_gateways) gateway.not_after = {};
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

private:
    static std::uint64_t seconds_of(WallTime time) {
        return static_cast<std::uint64_t>(time.time_since_epoch().count());
    }
    void next_document(WallTime now) {
        m_policy.serial = std::max(m_policy.serial + 1, seconds_of(now));
    }
    void note(AuditEntry entry) {
        entry.number = m_audit.size() + 1;
        m_audit.push_back(std::move(entry));
    }

    std::map<PublicKey, NodeRecord> m_nodes;
    std::map<PublicKey, Attested> m_gateways;
    std::map<std::string, InviteRecord> m_invites;
    std::vector<PublicKey> m_revoked;  // oldest first
    PolicyRecord m_policy;
    std::vector<AuditEntry> m_audit;
    std::uint64_t m_revision = 0;
    std::uint64_t m_serial = 0;
};

}  // namespace fortros::gateway
