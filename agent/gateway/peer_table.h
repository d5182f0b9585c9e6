// The peers of one of the gateway's interfaces, as the kernel told last, with our own changes since:
// who is there, and whose an address is. It never asks the kernel.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "core/wireguard.h"
#include "gateway/registry.h"

namespace fortros::gateway {

// No endpoint: nodes come to us, and roam. No keepalive: they keep their own NATs open.
WireGuardPeer peer_of(const NodeRecord& node);

class PeerTable {
public:
    PeerTable() = default;
    explicit PeerTable(const WireGuardStatus& status);

    std::size_t size() const { return m_peers.size(); }
    bool contains(const PublicKey& node) const { return m_peers.contains(node); }
    // Absent: it never has, or is no peer.
    std::optional<WallTime> last_handshake(const PublicKey& node) const;

    // Absent: none is known yet, or it is no peer.
    std::optional<Endpoint> endpoint(const PublicKey& node) const;

    // Who has the node's address and is another; null: nobody.
    const PublicKey* other_owner(const NodeRecord& node) const;
    // Conflict when another has its address: to the kernel an address that is given to one peer is
    // taken from any other, and nobody is told.
    Status check_free(const NodeRecord& node) const;

    // Anew: it has shaken no hands.
    void put(const NodeRecord& node);
    void remove(const PublicKey& node);

private:
    struct Peer {
        std::optional<WallTime> last_handshake{};
        std::optional<Endpoint> endpoint{};
        std::vector<IpNetwork> allowed_ips{};
    };
    std::map<PublicKey, Peer> m_peers;
    std::map<IpNetwork, PublicKey> m_owners;  // of the allowed IPs of all peers
};

}  // namespace fortros::gateway
