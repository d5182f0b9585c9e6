#include "gateway/backbone.h"

#include <algorithm>

namespace fortros::gateway {

// A node's clock may be ahead of this one by so much.
static constexpr std::chrono::hours clock_slack{1};

// --- other gateways ---

Result<Backbone::Gateway> Backbone::examine(const GatewayRecord& record) const {
    Gateway gateway{.record = record, .peer = {}};
    const auto vouched = m_parts.vouch(record.chain);
    if (!vouched || vouched->key != record.key) {
        const std::string why =
            vouched ? "its certificate is for another key" : vouched.error().text();
        m_parts.log.write({Level::Warning,
                           "gateway-not-vouched",
                           "the registry names a gateway that no node is told of: " + why,
                           {{"gateway", record.key.base64()}}});
        return gateway;
    }
    GatewayRecord believed = record;
    believed.attested.not_after = std::min(believed.attested.not_after, vouched->not_after);
    gateway.good_until = believed.attested.not_after;
    gateway.peer = TRY(m_parts.issuer.peer(believed));
    return gateway;
}

// Certificates are read, and attestations signed, only for whom something has changed.
Result<std::vector<MeshPeer>> Backbone::gateways(WallTime now) {
    std::vector<MeshPeer> peers;
    peers.push_back(TRY(m_parts.issuer.own_peer(now)));
    std::vector<Gateway> gateways;
    for (auto& record : TRY(m_parts.registry.gateways())) {
        if (record.key == m_self) continue;
        const WallTime serves_until = std::exchange(record.serves_until, {});
        const auto known = std::ranges::find(m_gateways, record, &Gateway::record);
        gateways.push_back(known == m_gateways.end() ? TRY(examine(record)) : *known);
        const Gateway& gateway = gateways.back();
        const bool is_good = now < serves_until && now + clock_slack < gateway.good_until;
        if (is_good && !gateway.peer.endpoints.empty() && peers.size() < lighthouse_limit)
            peers.push_back(gateway.peer);
    }
    m_gateways = std::move(gateways);
    return peers;
}

// --- lighthouses ---

// Reads again what has changed, and signs again only for whom it has.
Status Backbone::look() {
    const auto history = TRY(m_parts.registry.history());
    if (m_known == history) return {};
    std::vector<Lighthouse> lighthouses;
    for (auto& node : TRY(m_parts.registry.lighthouses())) {
        const auto known = std::ranges::find(m_lighthouses, node, &Lighthouse::node);
        auto peer = known == m_lighthouses.end() ? TRY(m_parts.issuer.peer(node)) : known->peer;
        lighthouses.push_back({std::move(node), std::move(peer)});
    }
    m_lighthouses = std::move(lighthouses);
    m_known = history;
    return {};
}

Result<std::vector<MeshPeer>> Backbone::peers_for(const PublicKey& node, WallTime now) {
    auto peers = TRY(gateways(now));
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
    for (const auto& lighthouse : m_lighthouses)
        TRY(m_parts.issuer.renew_if_due(lighthouse.node, now));
    return {};
}

}  // namespace fortros::gateway
