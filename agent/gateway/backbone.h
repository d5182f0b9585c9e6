// The peers that every node is told of: this gateway and the lighthouses, as the registry has them at the
// moment, each with an attestation that is good. A node refuses an answer that names one peer which it
// must not believe, so whoever cannot be vouched for is left out.
#pragma once

#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "gateway/issuer.h"
#include "gateway/registry.h"

namespace fortros::gateway {

class Backbone {
public:
    // Both borrowed; must outlive the backbone.
    Backbone(Registry& registry, Issuer& issuer) : m_registry(registry), m_issuer(issuer) {}

    // This gateway first, then the lighthouses, those that enrolled first first; never the node itself,
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

    Status look();

    Registry& m_registry;
    Issuer& m_issuer;
    std::optional<History> m_known{};  // of what follows
    std::vector<Lighthouse> m_lighthouses{};
};

}  // namespace fortros::gateway
