// What a gateway gives out under its org's signer: attestations, its own entry as a peer, bootstrap sets
// and the org document. Who may have them is not decided here.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "core/messages.h"
#include "gateway/publisher.h"
#include "gateway/registry.h"
#include "gateway/signer.h"

namespace fortros::gateway {

// What the gateway is to its nodes.
struct GatewaySelf {
    OrgPrefix prefix;
    std::string domain{};
    PrivateKey private_key{};  // WireGuard's
    PublicKey public_key;
    std::vector<Endpoint> endpoints{};  // of its WireGuard, as nodes can reach it
    std::uint16_t keepalive_seconds = 0;
};

class Issuer {
public:
    struct Parts {
        Registry& registry;
        const AttestationSigner& signer;
        Log& log;
    };

    // All borrowed; must outlive the issuer.
    Issuer(const GatewaySelf& self, Parts parts);

    // Makes the gateway's own attestation, or renews it if it is time.
    Status attest_self(WallTime now);
    Result<MeshPeer> own_peer(WallTime now);

    // The not-after of an attestation made now. Untrusted if the signer is not valid now.
    Result<WallTime> next_not_after(WallTime now) const;

    // Whether the node's attestation is worth a new one, which is a write.
    bool is_due(const NodeRecord& node, WallTime now) const {
        return worth_renewing(node.attested_until, now);
    }
    Result<NodeRecord> renew_if_due(const NodeRecord& node, WallTime now);
    Result<Bytes> attest(const NodeRecord& node) const;
    // The member as a peer, with what it was attested; where it can be reached, if everybody can.
    Result<MeshPeer> peer(const NodeRecord& node) const;
    // Another gateway, whose membership is the CA's to decide: the caller has read its certificates.
    Result<MeshPeer> peer(const GatewayRecord& gateway) const;

    // The newest; good until the next call.
    Result<const PublishedDocument*> document(WallTime now) { return m_publisher.current(now); }
    const Bytes& signer_certificate() const { return m_parts.signer.certificate(); }

    // What the node may come up from at its next boot, before any gateway has answered.
    Result<Bytes> bootstrap_set_for(const NodeRecord& node, const std::vector<MeshPeer>& peers,
                                    const OrgDocument& org, WallTime now) const;

private:
    bool worth_renewing(WallTime not_after, WallTime now) const;
    Result<Bytes> attest(const PublicKey& key, Role role, const Attested& attested) const;
    // What was signed last for a key, to be given again for as long as it says the same: a join would cost a
    // signature more, and a page of the member feed one for each member. No more entries than the registry has.
    struct Signed {
        Role role = Role::Node;
        Attested attested{};
        SignerId signer{};
        ByteArray<attestation_size> bytes{};
    };
    MeshPeer peer_at(const PublicKey& key, Role role, const std::vector<Endpoint>& endpoints,
                     Bytes attestation) const;

    const GatewaySelf& m_self;
    Parts m_parts;
    Publisher m_publisher;
    std::optional<Attested> m_own{};  // as the registry has it
    mutable std::map<PublicKey, Signed> m_signed{};
};

}  // namespace fortros::gateway
