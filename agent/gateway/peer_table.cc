#include "gateway/peer_table.h"

namespace fortros::gateway {

WireGuardPeer peer_of(const NodeRecord& node) {
    return {.key = node.key, .allowed_ips = {IpNetwork::host(node.overlay_address)}};
}

PeerTable::PeerTable(const WireGuardStatus& status) {
    for (const auto& [peer, last_handshake, rx_bytes, tx_bytes] : status.peers) {
        m_peers[peer.key] = {last_handshake, peer.endpoint, peer.allowed_ips};
        for (const IpNetwork& network : peer.allowed_ips) m_owners[network] = peer.key;
    }
}

std::optional<WallTime> PeerTable::last_handshake(const PublicKey& node) const {
    const auto found = m_peers.find(node);
    return found == m_peers.end() ? std::nullopt : found->second.last_handshake;
}

std::optional<Endpoint> PeerTable::endpoint(const PublicKey& node) const {
    const auto found = m_peers.find(node);
    return found == m_peers.end() ? std::nullopt : found->second.endpoint;
}

const PublicKey* PeerTable::other_owner(const NodeRecord& node) const {
    const auto owner = m_owners.find(IpNetwork::host(node.overlay_address));
    return owner == m_owners.end() || owner->second == node.key ? nullptr : &owner->second;
}

Status PeerTable::check_free(const NodeRecord& node) const {
    const PublicKey* owner = other_owner(node);
    if (!owner) return {};
    return fail(ErrorCode::Conflict, "cannot make " + node.key.base64() +
                                         " a peer: " + node.overlay_address.text() +
                                         " is the address of another, " + owner->base64());
}

void PeerTable::put(const NodeRecord& node) {
    remove(node.key);
    Peer peer{.allowed_ips = peer_of(node).allowed_ips};
    for (const IpNetwork& network : peer.allowed_ips) m_owners[network] = node.key;
    m_peers[node.key] = std::move(peer);
}

void PeerTable::remove(const PublicKey& node) {
    const auto found = m_peers.find(node);
    if (found == m_peers.end()) return;
    for (const IpNetwork& network : found->second.allowed_ips) {
        const auto owner = m_owners.find(network);
        if (owner != m_owners.end() && owner->second == node) m_owners.erase(owner);
    }
    m_peers.erase(found);
}

}  // namespace fortros::gateway
