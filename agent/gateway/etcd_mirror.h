// The registry in etcd as this gateway has it in memory: whole, and as it was after one certain
// transaction. It is told what has changed, and asks nobody.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gateway/etcd_messages.h"
#include "gateway/etcd_rows.h"

namespace fortros::gateway {

class EtcdMirror {
public:
    // Of the keys in one folder.
    explicit EtcdMirror(std::string folder) : m_folder(std::move(folder)) {}

    // Of the head, which is that of the newest transaction; 0: there is none.
    EtcdRevision revision() const { return m_revision; }
    EtcdRevision revision_of(const std::string& name) const;
    const EtcdHead& head() const { return m_head; }

    // Everything anew. What fails is InvalidData or Unsupported, and the mirror is of no use then.
    Status load(const std::vector<EtcdKeyValue>& snapshot);
    // The next change of a watch. It counts when its transaction is complete; what is known already
    // does not. True when a transaction became complete.
    Result<bool> take(EtcdNews::Change change);
    // The watch ends, and the next one begins behind the newest complete transaction.
    void forget_incomplete() { m_incomplete.clear(); }
    // A transaction of our own, done at `revision`. Names and not whole keys.
    Status apply(const std::vector<EtcdTransaction::Write>& writes, EtcdRevision revision);

    // Null if there is none. Good until the next change.
    const EtcdNode* find_node(const PublicKey& key) const;
    const EtcdInvite* find_invite(const std::string& id) const;
    const WaitingRecord* find_waiting(const PublicKey& key) const;
    const GatewayRecord* find_gateway(const PublicKey& key) const;
    // Whether a node has the address, or waits with it under another key.
    bool is_taken(const IpAddress& address, const PublicKey& key) const;

    // As the registry tells them.
    NodeRecord record_of(const EtcdNode& node) const;
    InviteRecord record_of(const EtcdInvite& invite, WallTime now) const;
    GatewayRecord record_of(const GatewayRecord& gateway) const;

    std::vector<const EtcdNode*> nodes_since(std::uint64_t revision, std::size_t limit) const;
    // The members that have endpoints, those that enrolled first first.
    std::vector<const EtcdNode*> lighthouses() const;
    std::size_t count_members() const;
    const std::map<std::string, EtcdInvite>& invites() const { return m_invites; }
    // Those that serve no more among them.
    const std::map<PublicKey, GatewayRecord>& gateways() const { return m_gateways; }
    const std::map<PublicKey, WaitingRecord>& waiting() const { return m_waiting; }
    // Oldest first.
    const std::map<std::uint64_t, PublicKey>& revocations() const { return m_revocations; }

private:
    Status put(std::string_view name, std::string_view value, EtcdRevision revision);
    Status put_row(std::string_view name, std::string_view value, EtcdRevision revision);
    Status put_node(std::string_view name, std::string_view value);
    void erase(std::string_view name);
    void erase_folder(std::string_view folder);
    Result<std::string_view> name_in(std::string_view key) const;

    std::string m_folder;
    EtcdRevision m_revision = 0;
    EtcdHead m_head;
    std::map<PublicKey, EtcdNode> m_nodes;
    std::map<std::string, EtcdInvite> m_invites;
    std::map<PublicKey, WaitingRecord> m_waiting;
    std::map<PublicKey, GatewayRecord> m_gateways;
    std::map<IpAddress, PublicKey> m_addresses;                 // of nodes
    std::set<PublicKey> m_lighthouses;                          // members with endpoints
    std::map<std::uint64_t, PublicKey> m_changes;               // of nodes, by their revision
    std::map<std::uint64_t, PublicKey> m_revocations;           // of nodes, by their number
    std::unordered_map<std::string, EtcdRevision> m_revisions;  // of every key, by its name
    std::vector<EtcdNews::Change> m_incomplete;  // of a transaction whose head is to come
};

}  // namespace fortros::gateway
