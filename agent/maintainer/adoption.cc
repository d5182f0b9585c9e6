#include "maintainer/adoption.h"

#include <algorithm>

namespace fortros {

OverlayPlan plan_of(const HandOff& hand_off) {
    OverlayPlan plan{.address = hand_off.overlay_address, .prefix = hand_off.prefix};
    for (const auto& interface : hand_off.interfaces) plan.interfaces.push_back(interface.plan);
    return plan;
}

static Status check_own_attestation(const HandOff& hand_off, const OrgWord& org) {
    const auto own =
        TRY(check_attestation(hand_off.attestation, org.signers, hand_off.prefix, hand_off.time));
    if (own.node != hand_off.node || own.role != hand_off.role)
        return fail(ErrorCode::Untrusted, "this node's attestation is for another key or role");
    return {};
}

Status check_signed(const HandOff& hand_off, const SignerVerifier& verifier) {
    if (hand_off.remembered) return {};
    const auto org =
        TRY(verify_org_word(hand_off.signers, hand_off.document, {}, verifier, hand_off.time));
    if (org.document.prefix != hand_off.prefix)
        return fail(ErrorCode::Untrusted, "the org document is for another overlay prefix");
    TRY(check_own_attestation(hand_off, org));
    for (const auto& peer : hand_off.peers) TRY(check_mesh_peer(peer, org, hand_off.time));
    for (const auto& interface : hand_off.interfaces)
        for (const auto& peer : interface.plan.peers)
            if (!std::ranges::contains(hand_off.peers, peer.key, &MeshPeer::key))
                return fail(ErrorCode::Untrusted,
                            interface.plan.name + " has a peer that is no member",
                            peer.key.base64());
    return {};
}

Status check_adoptable(const HandOff& hand_off, const std::vector<InterfaceState>& have) {
    const std::string name(direct_interface);
    bool has_key = false;
    for (const InterfaceState& state : have) {
        const auto& key = state.wireguard.public_key;
        if (key && *key != hand_off.node)
            return fail(ErrorCode::Conflict,
                        state.wireguard.name +
                            " bears another key than the hand-off's: another "
                            "node's, or a gateway's, which needs a host of its own",
                        key->base64());
        has_key = has_key || (key && state.wireguard.name == name);
    }
    if (!has_key)
        return fail(ErrorCode::NotFound,
                    name + " is gone or has lost its key, and only preboot can make it again");
    return {};
}

}  // namespace fortros
