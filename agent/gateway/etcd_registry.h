// The registry in an etcd cluster, for several gateways that serve one org. Each change is one
// transaction, done only if nothing has changed since it was decided; what is read comes from a
// mirror whose age is bounded. It never waits longer than its limit.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "gateway/etcd_store.h"
#include "gateway/registry.h"

namespace fortros::gateway {

class EtcdRegistry final : public Registry {
public:
    // Founds the registry where there is none. Unsupported for one that a newer version has written,
    // Busy where no majority of the members answers within the limit, which holds for every later
    // call as well.
    static Result<std::unique_ptr<EtcdRegistry>> open(const EtcdSettings& settings,
                                                      const OrgPrefix& prefix, Duration limit);

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
    Status announce_gateway(const GatewayRecord& gateway, WallTime now) override;
    Result<std::vector<GatewayRecord>> gateways() override;
    Result<std::uint64_t> gateways_revision() override;
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
    // Opening it has read all of it.
    Status check() override { return {}; }
    Result<std::unique_ptr<RegistryWatch>> watch() override;

private:
    explicit EtcdRegistry(std::unique_ptr<EtcdStore> store) : m_store(std::move(store)) {}

    const EtcdMirror& mirror() const { return m_store->mirror(); }

    // Decides by the mirror and commits what is decided: again, until nothing has changed between
    // the two. `decide` may be called several times, and its last answer counts.
    template <typename T>
    Result<T> transact(const std::function<Result<T>(EtcdChange&)>& decide);

    // What the decisions are made of.
    NodeRecord admit(EtcdChange& change, const Enrolment& enrolment, const EtcdInvite& invite,
                     WallTime now) const;
    Result<Decision> decide_enrolment(EtcdChange& change, const Enrolment& enrolment,
                                      const Actor& actor, WallTime now) const;
    // A node whose record changes.
    static NodeRecord put_node(EtcdChange& change, EtcdNode node);
    Result<EtcdNode> known(const PublicKey& key) const;
    Result<EtcdNode> member(const PublicKey& key) const;

    // etcd_waiting.cc
    Status expire_waiting(WallTime now);
    Decision begin_waiting(EtcdChange& change, const Enrolment& enrolment, const EtcdInvite& invite,
                           const Actor& actor, WallTime now) const;

    std::unique_ptr<EtcdStore> m_store;
    KernelRandom m_random;
};

}  // namespace fortros::gateway
