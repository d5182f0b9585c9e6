#include "core/wireguard.h"

#include <algorithm>
#include <map>

namespace fortros {

namespace {

// What is wanted, in the kernel's terms: a key once, an allowed IP with one peer, without host
// bits. Where `want` says something twice the last word counts, as it does in the kernel; without
// this the same change would be sent again and again.
class Wanted {
public:
    explicit Wanted(const std::vector<WireGuardPeer>& want) {
        for (const WireGuardPeer& peer : want) {
            m_peers[peer.key] = &peer;
            for (const IpNetwork& network : peer.allowed_ips) m_owners[network.network()] = &peer;
        }
    }

    const WireGuardPeer* find(const PublicKey& key) const {
        const auto found = m_peers.find(key);
        return found == m_peers.end() ? nullptr : found->second;
    }

    // Sorted, each once.
    std::vector<IpNetwork> allowed_ips_of(const WireGuardPeer& peer) const {
        std::vector<IpNetwork> out;
        for (const IpNetwork& network : peer.allowed_ips)
            if (m_owners.at(network.network()) == &peer) out.push_back(network.network());
        return sorted(std::move(out));
    }

    static std::vector<IpNetwork> sorted(std::vector<IpNetwork> networks) {
        std::ranges::sort(networks);
        const auto same = std::ranges::unique(networks);
        networks.erase(same.begin(), same.end());
        return networks;
    }

private:
    std::map<PublicKey, const WireGuardPeer*> m_peers;
    std::map<IpNetwork, const WireGuardPeer*> m_owners;
};

}  // namespace

// The kernel moves a peer's endpoint to wherever authenticated packets come from. Only of a peer
// that has never answered is it certain that nothing was learnt.
static bool endpoint_must_be_set(const WireGuardPeer& want, const WireGuardPeerStatus& have) {
    if (!want.endpoint || want.endpoint == have.peer.endpoint) return false;
    return !have.peer.endpoint || !have.last_handshake;
}

static WireGuardChange update_of(const WireGuardPeer& want, std::vector<IpNetwork> allowed_ips,
                                 const WireGuardPeerStatus& have) {
    WireGuardChange change{.kind = WireGuardChange::Kind::Update, .peer = want};
    change.replace_allowed_ips = allowed_ips != Wanted::sorted(have.peer.allowed_ips);
    change.set_endpoint = endpoint_must_be_set(want, have);
    change.set_keepalive = want.keepalive_seconds != have.peer.keepalive_seconds;
    change.peer.allowed_ips =
        change.replace_allowed_ips ? std::move(allowed_ips) : std::vector<IpNetwork>{};
    return change;
}

std::vector<WireGuardChange> difference(const std::vector<WireGuardPeer>& want,
                                        const std::vector<WireGuardPeerStatus>& have) {
    const Wanted wanted(want);
    std::map<PublicKey, const WireGuardPeerStatus*> present;
    std::vector<WireGuardChange> changes;
    for (const WireGuardPeerStatus& status : have) {
        present[status.peer.key] = &status;
        if (!wanted.find(status.peer.key))
            changes.push_back(
                {.kind = WireGuardChange::Kind::Remove, .peer = {.key = status.peer.key}});
    }
    for (const WireGuardPeer& peer : want) {
        if (wanted.find(peer.key) != &peer) continue;
        auto allowed_ips = wanted.allowed_ips_of(peer);
        if (const auto found = present.find(peer.key); found != present.end()) {
            auto change = update_of(peer, std::move(allowed_ips), *found->second);
            if (change.replace_allowed_ips || change.set_endpoint || change.set_keepalive)
                changes.push_back(std::move(change));
            continue;
        }
        WireGuardChange change{.kind = WireGuardChange::Kind::Add, .peer = peer};
        change.replace_allowed_ips = true;
        change.set_endpoint = peer.endpoint.has_value();
        change.set_keepalive = true;
        change.peer.allowed_ips = std::move(allowed_ips);
        changes.push_back(std::move(change));
    }
    return changes;
}

}  // namespace fortros
