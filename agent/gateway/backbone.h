// The peers that every node is told of: the gateways and the lighthouses, as the registry has them at the
// moment, each with an attestation that is good. A node refuses an answer that names one peer which it
// must not believe, so whoever cannot be vouched for is left out.
#pragma once

#include <functional>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "gateway/issuer.h"
#include "gateway/registry.h"

namespace fortros::gateway {

// What the CA says of a gateway: its WireGuard key, and until when.
struct Vouched {
    PublicKey key;
    WallTime not_after{};
};
// Reads it from the certificates (DER) that the gateway shows; Untrusted if the CA does not say so.
using Vouch = std::function<Result<Vouched>(const std::vector<Bytes>& chain)>;

class Backbone {
public:
    struct Parts {
        Registry& registry;
        Issuer& issuer;
        Vouch vouch;
        Log& log;
    };

    // All borrowed; must outlive the backbone. `self`: this gateway's key.
    Backbone(const PublicKey& self, Parts parts) : m_self(self), m_parts(std::move(parts)) {}

    // This gateway first, then the others that serve: by the word of the CA, for who can write into the
    // registry decides about nodes only.
    Result<std::vector<MeshPeer>> gateways(WallTime now);

    // The gateways, then the lighthouses, those that enrolled first first; never the node itself,
    // and no more than a node takes. To be asked for after the org document that goes with them: it
    // may say less than the registry by then, and never revokes one of them.
    Result<std::vector<MeshPeer>> peers_for(const PublicKey& node, WallTime now);

    // A lighthouse may run for years without a boot, and so without a join: what it was attested is
    // renewed for it. Mostly there is nothing to do, and then nothing is written.
    Status renew_due(WallTime now);

private:
    struct Lighthouse {
        NodeRecord node;
        MeshPeer peer;
    };
    struct Gateway {
        GatewayRecord record;  // serves_until aside
        MeshPeer peer;         // no endpoints: not to be named
        WallTime good_until{};
    };

    Status look();
    Result<Gateway> examine(const GatewayRecord& record) const;

    PublicKey m_self;
    Parts m_parts;
    std::optional<History> m_known{};  // of the lighthouses
    std::vector<Lighthouse> m_lighthouses{};
    std::vector<Gateway> m_gateways{};
};

}  // namespace fortros::gateway
