#include "gateway/etcd_mirror.h"

#include <algorithm>

namespace fortros::gateway {

// No transaction of ours writes so many keys: these are not ours.
static constexpr std::size_t incomplete_limit = 100'000;

static std::string damage_at(std::string_view name) {
    return "the registry in etcd is damaged at '" + std::string(name) + "'";
}

static std::unexpected<Error> damaged(std::string_view name, std::string_view why) {
    return fail(ErrorCode::InvalidData, damage_at(name) + ": " + std::string(why));
}

// put() says where.
static std::unexpected<Error> wrong(std::string_view why) {
    return fail(ErrorCode::InvalidData, std::string(why));
}

Result<std::string_view> EtcdMirror::name_in(std::string_view key) const {
    if (!key.starts_with(m_folder)) return damaged(key, "nobody has asked for it");
    return key.substr(m_folder.size());
}

EtcdRevision EtcdMirror::revision_of(const std::string& name) const {
    const auto found = m_revisions.find(name);
    return found == m_revisions.end() ? 0 : found->second;
}

// --- changes ---

Status EtcdMirror::load(const std::vector<EtcdKeyValue>& snapshot) {
    *this = EtcdMirror(std::move(m_folder));
    for (const auto& row : snapshot) TRY(put(TRY(name_in(row.key)), row.value, row.revision));
    if (m_revision == 0 && !snapshot.empty()) return damaged(etcd_head_name, "it is missing");
    return {};
}

Result<bool> EtcdMirror::take(EtcdNews::Change change) {
    const bool ends = TRY(name_in(change.now.key)) == etcd_head_name;
    if (change.now.revision <= m_revision) return false;
    if (m_incomplete.size() >= incomplete_limit)
        return damaged(change.now.key, "somebody else writes here");
    m_incomplete.push_back(std::move(change));
    if (!ends) return false;
    for (const auto& [now, deleted] : std::exchange(m_incomplete, {})) {
        const auto name = TRY(name_in(now.key));
        if (deleted)
            erase(name);
        else
            TRY(put(name, now.value, now.revision));
    }
    return true;
}

Status EtcdMirror::apply(const std::vector<EtcdTransaction::Write>& writes, EtcdRevision revision) {
    for (const auto& [name, value] : writes)
        if (value)
            TRY(put(name, *value, revision));
        else
            erase(name);
    return {};
}

// The key that the end of a name spells.
static std::optional<PublicKey> key_in(std::string_view name) {
    return PublicKey::from_base64url(name.substr(name.rfind('/') + 1));
}

Status EtcdMirror::put(std::string_view name, std::string_view value, EtcdRevision revision) {
    auto status = put_row(name, value, revision);
    if (!status && status.error().code == ErrorCode::InvalidData)
        return std::unexpected(std::move(status).error().in(damage_at(name)));
    return status;
}

Status EtcdMirror::put_row(std::string_view name, std::string_view value, EtcdRevision revision) {
    const auto key = key_in(name);
    if (name == etcd_head_name) {
        m_head = TRY(parse_etcd_head(value));
        m_revision = revision;
    } else if (name.starts_with(etcd_node_folder)) {
        TRY(put_node(name, value));
    } else if (name.starts_with(etcd_invite_folder)) {
        auto invite = TRY(parse_etcd_invite(value));
        if (name != etcd_invite_name(invite.record.id)) return wrong("it is another's");
        m_invites.insert_or_assign(invite.record.id, std::move(invite));
    } else if (name.starts_with(etcd_waiting_folder)) {
        auto waiting = TRY(parse_etcd_waiting(value));
        if (name != etcd_waiting_name(waiting.invite, waiting.key)) return wrong("it is another's");
        m_waiting.insert_or_assign(waiting.key, std::move(waiting));
    } else if (name.starts_with(etcd_gateway_folder)) {
        if (!key) return wrong("it has no key");
        auto gateway = TRY(parse_etcd_gateway(value));
        gateway.key = *key;
        m_gateways.insert_or_assign(*key, std::move(gateway));
    } else {
        return wrong("nobody knows what it is");
    }
    m_revisions.insert_or_assign(std::string(name), revision);
    return {};
}

Status EtcdMirror::put_node(std::string_view name, std::string_view value) {
    auto node = TRY(parse_etcd_node(value));
    const PublicKey key = node.record.key;
    if (name != etcd_node_name(key)) return wrong("it is another's");
    const auto [address, is_new] = m_addresses.emplace(node.record.overlay_address, key);
    if (address->second != key) return wrong("its address is another node's");
    if (const auto* before = find_node(key)) {
        if (before->record.overlay_address != node.record.overlay_address)
            return wrong("its address has changed");
        m_changes.erase(before->record.revision);
        m_revocations.erase(before->revocation);
    }
    if (!m_changes.emplace(node.record.revision, key).second)
        return wrong("its revision is another node's");
    if (node.revocation != 0 && !m_revocations.emplace(node.revocation, key).second)
        return wrong("its revocation is another node's");
    if (node.record.is_member() && !node.record.endpoints.empty())
        m_lighthouses.insert(key);
    else
        m_lighthouses.erase(key);
    m_nodes.insert_or_assign(key, std::move(node));
    return {};
}

// Nodes, invites and the head are never deleted by us; who does it by hand makes them come back at
// the next start only.
void EtcdMirror::erase(std::string_view name) {
    if (name.ends_with('/')) return erase_folder(name);
    const auto key = key_in(name);
    if (name.starts_with(etcd_waiting_folder) && key) {
        const auto found = m_waiting.find(*key);
        // Not the one with another invite that the same transaction has put in its place.
        if (found != m_waiting.end() && name == etcd_waiting_name(found->second.invite, *key))
            m_waiting.erase(found);
    }
    m_revisions.erase(std::string(name));
}

void EtcdMirror::erase_folder(std::string_view folder) {
    std::vector<std::string> names;
    for (const auto& [name, revision] : m_revisions)
        if (name.starts_with(folder)) names.push_back(name);
    for (const auto& name : names) erase(name);
}

// --- looking up ---

template <typename Map, typename Key>
static const typename Map::mapped_type* find_in(const Map& map, const Key& key) {
    const auto found = map.find(key);
    return found == map.end() ? nullptr : &found->second;
}

const EtcdNode* EtcdMirror::find_node(const PublicKey& key) const { return find_in(m_nodes, key); }

const EtcdInvite* EtcdMirror::find_invite(const std::string& id) const {
    return find_in(m_invites, id);
}

std::size_t EtcdMirror::count_members() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        m_nodes, [](const auto& entry) { return entry.second.record.is_member(); }));
}

const WaitingRecord* EtcdMirror::find_waiting(const PublicKey& key) const {
    return find_in(m_waiting, key);
}

const GatewayRecord* EtcdMirror::find_gateway(const PublicKey& key) const {
    return find_in(m_gateways, key);
}

bool EtcdMirror::is_taken(const IpAddress& address, const PublicKey& key) const {
    return m_addresses.contains(address) || std::ranges::any_of(m_waiting, [&](const auto& entry) {
               return entry.first != key && entry.second.overlay_address == address;
           });
}

NodeRecord EtcdMirror::record_of(const EtcdNode& node) const {
    NodeRecord record = node.record;
    if (record.serial <= m_head.renewed) record.attested_until = {};
    return record;
}

GatewayRecord EtcdMirror::record_of(const GatewayRecord& gateway) const {
    GatewayRecord record = gateway;
    if (record.attested.serial <= m_head.renewed) record.attested.not_after = {};
    return record;
}

InviteRecord EtcdMirror::record_of(const EtcdInvite& invite, WallTime now) const {
    InviteRecord record = invite.record;
    for (const auto& [key, node] : m_waiting)
        if (node.invite == record.id && !node.rejected && node.expires > now) ++record.waiting;
    return record;
}

std::vector<const EtcdNode*> EtcdMirror::lighthouses() const {
    std::vector<const EtcdNode*> nodes;
    for (const auto& key : m_lighthouses) nodes.push_back(find_node(key));
    std::ranges::stable_sort(nodes, {}, [](const auto* node) { return node->record.enrolled; });
    return nodes;
}

std::vector<const EtcdNode*> EtcdMirror::nodes_since(std::uint64_t revision,
                                                     std::size_t limit) const {
    std::vector<const EtcdNode*> nodes;
    for (auto change = m_changes.upper_bound(revision);
         change != m_changes.end() && nodes.size() < limit; ++change)
        nodes.push_back(find_node(change->second));
    return nodes;
}

}  // namespace fortros::gateway
