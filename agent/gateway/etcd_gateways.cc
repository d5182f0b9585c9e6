// The part of the registry in etcd about the gateways themselves, which serve an org together.
#include <algorithm>

#include "gateway/etcd_transact.h"

namespace fortros::gateway {

Result<std::optional<Attested>> EtcdRegistry::find_gateway(const PublicKey& key) {
    m_store->begin();
    TRY(m_store->require_recent());
    const auto* gateway = mirror().find_gateway(key);
    if (gateway == nullptr) return std::nullopt;
    return mirror().record_of(*gateway).attested;
}

static GatewayRecord row_of(const EtcdMirror& mirror, const PublicKey& key) {
    const auto* gateway = mirror.find_gateway(key);
    return gateway == nullptr ? GatewayRecord{.key = key} : *gateway;
}

static void put(EtcdChange& change, const GatewayRecord& gateway) {
    change.put(etcd_gateway_name(gateway.key), to_json_text(gateway));
}

Result<Attested> EtcdRegistry::renew_gateway(const PublicKey& key, WallTime not_after) {
    return transact<Attested>([&](EtcdChange& change) -> Result<Attested> {
        auto gateway = row_of(mirror(), key);
        gateway.attested = {++change.head.serial, not_after};
        // The others tell nodes of it, with what it was attested.
        if (!gateway.endpoints.empty()) gateway.revision = ++change.head.revision;
        put(change, gateway);
        return gateway.attested;
    });
}

static void withdraw_silent(const EtcdMirror& mirror, const PublicKey& speaker, EtcdChange& change,
                            WallTime now) {
    for (const auto& [key, gateway] : mirror.gateways()) {
        if (key == speaker || gateway.endpoints.empty() || now < gateway.serves_until) continue;
        GatewayRecord gone{.key = key, .attested = gateway.attested};
        gone.revision = ++change.head.revision;
        put(change, gone);
    }
}

Status EtcdRegistry::announce_gateway(const GatewayRecord& gateway, WallTime now) {
    ASSERT(gateway.endpoints.size() <= member_endpoints_limit);
    ASSERT(gateway.chain.size() <= gateway_chain_limit);
    return transact<bool>([&](EtcdChange& change) -> Result<bool> {
               withdraw_silent(mirror(), gateway.key, change, now);
               auto row = row_of(mirror(), gateway.key);
               if (row.endpoints != gateway.endpoints || row.chain != gateway.chain)
                   row.revision = ++change.head.revision;
               row.endpoints = gateway.endpoints;
               row.chain = gateway.chain;
               row.serves_until = gateway.serves_until;
               put(change, row);
               return true;
           })
        .transform([](bool) {});
}

Result<std::vector<GatewayRecord>> EtcdRegistry::gateways() {
    m_store->begin();
    TRY(m_store->require_recent());
    std::vector<GatewayRecord> gateways;
    for (const auto& [key, gateway] : mirror().gateways())
        if (!gateway.endpoints.empty()) gateways.push_back(mirror().record_of(gateway));
    return gateways;
}

Result<std::uint64_t> EtcdRegistry::gateways_revision() {
    m_store->begin();
    TRY(m_store->require_recent());
    std::uint64_t newest = 0;
    for (const auto& [key, gateway] : mirror().gateways())
        newest = std::max(newest, gateway.revision);
    return newest;
}

}  // namespace fortros::gateway
