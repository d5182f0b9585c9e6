#include "gateway/backbone.h"

#include <algorithm>

namespace fortros::gateway {

// A node's clock may be ahead of this one by so much.
static constexpr std::chrono::hours clock_slack{1};

// Reads again what has changed, and signs again only for whom it has.
Status Backbone::look() {
    const auto history = TRY(m_registry.history());
    if (m_known == history) return {};
    std::vector<Lighthouse> lighthouses;
    for (auto& node : TRY(m_registry.lighthouses())) {
        const auto known = std::ranges::find(m_lighthouses, node, &Lighthouse::node);
        auto peer = known == m_lighthouses.end() ? TRY(m_issuer.peer(node)) : known->peer;
        lighthouses.push_back({std::move(node), std::move(peer)});
    }
    m_lighthouses = std::move(lighthouses);
    m_known = history;
    return {};
}

Result<std::vector<MeshPeer>> Backbone::peers_for(const PublicKey& node, WallTime now) {
    std::vector<MeshPeer> peers;
    peers.push_back(TRY(m_issuer.own_peer(now)));
    TRY(look());
    for (const auto& [lighthouse, peer] : m_lighthouses) {
        if (peers.size() == lighthouse_limit) break;
        const bool is_good = now + clock_slack < lighthouse.attested_until;
        if (is_good && !peer.endpoints.empty() && peer.key != node) peers.push_back(peer);
    }
    return peers;
}

Status Backbone::renew_due(WallTime now) {
    TRY(look());
    for (const auto& lighthouse : m_lighthouses) TRY(m_issuer.renew_if_due(lighthouse.node, now));
    return {};
}

}  // namespace fortros::gateway
