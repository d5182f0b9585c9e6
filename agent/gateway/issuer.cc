#include "gateway/issuer.h"

#include <algorithm>

namespace fortros::gateway {

// A renewal that gains less than this is not worth a write: the signer's own end is near.
static constexpr std::chrono::days smallest_renewal{1};

Issuer::Issuer(const GatewaySelf& self, Parts parts)
    : m_self(self),
      m_parts(parts),
      m_publisher(self.prefix, self.domain, parts.registry, parts.signer) {}

Result<WallTime> Issuer::next_not_after(WallTime now) const {
    const Signer& signer = m_parts.signer.facts();
    if (now < signer.not_before || now >= signer.not_after)
        return fail(ErrorCode::Untrusted, "the signer's certificate is valid from " +
                                              to_rfc3339(signer.not_before) + " to " +
                                              to_rfc3339(signer.not_after) + " only");
    return std::min(now + attestation_life, signer.not_after);
}

bool Issuer::worth_renewing(WallTime not_after, WallTime now) const {
    if (not_after <= now) return true;
    const auto possible = std::min(now + attestation_life, m_parts.signer.facts().not_after);
    return not_after - now < attestation_life / 2 && possible - not_after >= smallest_renewal;
}

// The registry keeps serial and not-after, so a join of a member writes nothing for half of an
// attestation's life, and the node, which stores the serial, neither.
Result<NodeRecord> Issuer::renew_if_due(const NodeRecord& node, WallTime now) {
    if (!is_due(node, now)) return node;
    auto renewed = m_parts.registry.renew(node.key, TRY(next_not_after(now)));
    if (renewed || node.attested_until <= now) return renewed;
    m_parts.log.write({Level::Warning, "renewal-failed",
                       "the attestation of " + node.overlay_address.text() +
                           " could not be renewed: " + renewed.error().text()});
    return node;
}

Result<Bytes> Issuer::attest(const PublicKey& key, Role role, const Attested& attested) const {
    const SignerId signer = m_parts.signer.facts().id;
    Signed& last = m_signed[key];
    if (last.attested != attested || last.role != role || last.signer != signer) {
        const Bytes bytes =
            TRY(sign_attestation(m_parts.signer, {.prefix = m_self.prefix,
                                                  .node = key,
                                                  .role = role,
                                                  .serial = attested.serial,
                                                  .not_after = attested.not_after}));
        ASSERT(bytes.size() == last.bytes.size());
        last = {.role = role, .attested = attested, .signer = signer};
        std::ranges::copy(bytes, last.bytes.begin());
    }
    return Bytes(last.bytes.begin(), last.bytes.end());
}

Result<Bytes> Issuer::attest(const NodeRecord& node) const {
    return attest(node.key, node.role, {node.serial, node.attested_until});
}

// A node that finds one bad endpoint refuses everything that comes with it.
MeshPeer Issuer::peer_at(const PublicKey& key, Role role, const std::vector<Endpoint>& endpoints,
                         Bytes attestation) const {
    MeshPeer peer{
        .key = key,
        .role = role,
        .overlay_address = overlay_address(m_self.prefix, key),
        .endpoints = endpoints,
        .attestation = std::move(attestation),
    };
    std::erase_if(peer.endpoints, [this](const Endpoint& endpoint) {
        return !check_endpoint(endpoint, m_self.prefix);
    });
    if (!peer.endpoints.empty()) peer.keepalive_seconds = m_self.keepalive_seconds;
    return peer;
}

Result<MeshPeer> Issuer::peer(const NodeRecord& node) const {
    auto attestation = TRY(attest(node));
    return peer_at(node.key, node.role, node.endpoints, std::move(attestation));
}

Result<MeshPeer> Issuer::peer(const GatewayRecord& gateway) const {
    auto attestation = TRY(attest(gateway.key, Role::Gateway, gateway.attested));
    return peer_at(gateway.key, Role::Gateway, gateway.endpoints, std::move(attestation));
}

Status Issuer::attest_self(WallTime now) {
    if (!m_own) m_own = TRY(m_parts.registry.find_gateway(m_self.public_key));
    const bool is_usable = m_own && now < m_own->not_after;
    const bool is_due = !is_usable || worth_renewing(m_own->not_after, now);
    if (is_due) {
        auto renewed = m_parts.registry.renew_gateway(m_self.public_key, TRY(next_not_after(now)));
        if (!renewed && !is_usable) return std::unexpected(std::move(renewed).error());
        if (renewed) m_own = *renewed;
    }
    TRY(attest(m_self.public_key, Role::Gateway, *m_own));  // a signer that can't sign is told now
    return {};
}

Result<MeshPeer> Issuer::own_peer(WallTime now) {
    TRY(attest_self(now));
    return MeshPeer{
        .key = m_self.public_key,
        .role = Role::Gateway,
        .overlay_address = overlay_address(m_self.prefix, m_self.public_key),
        .endpoints = m_self.endpoints,
        .keepalive_seconds = m_self.keepalive_seconds,
        .attestation = TRY(attest(m_self.public_key, Role::Gateway, *m_own)),
    };
}

// The clock as the serial: it grows across several gateways, which need not ask one another.
Result<Bytes> Issuer::bootstrap_set_for(const NodeRecord& node, const std::vector<MeshPeer>& peers,
                                        const OrgDocument& org, WallTime now) const {
    return sign_bootstrap_set(
        m_parts.signer,
        {.prefix = m_self.prefix,
         .node = node.key,
         .role = node.role,
         .serial = static_cast<std::uint64_t>(now.time_since_epoch().count()),
         .not_after = std::min(now + bootstrap_set_life, m_parts.signer.facts().not_after),
         .policy_serial = org.serial,
         .revocation_number = org.revocation_number,
         .peers = bootstrap_peers_of(peers)});
}

}  // namespace fortros::gateway
