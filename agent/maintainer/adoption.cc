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

static const InterfaceState* find(const std::vector<InterfaceState>& have,
                                  const std::string& name) {
    const auto found = std::ranges::find_if(
        have, [&](const InterfaceState& interface) { return interface.wireguard.name == name; });
    return found == have.end() ? nullptr : &*found;
}

Status check_adoptable(const HandOff& hand_off, const std::vector<InterfaceState>& have) {
    for (const auto& interface : hand_off.interfaces) {
        const std::string& name = interface.plan.name;
        const InterfaceState* state = find(have, name);
        if (state == nullptr)
            return fail(ErrorCode::NotFound, name + " is gone, and only preboot can make it again");
        if (!state->wireguard.public_key)
            return fail(ErrorCode::NotFound,
                        name + " has lost its key, and only preboot can set it again");
        if (*state->wireguard.public_key != hand_off.node)
            return fail(ErrorCode::Conflict, name + " bears another key than the hand-off's",
                        state->wireguard.public_key->base64());
    }
    return {};
}

static Json peer_status(const WireGuardPeerStatus& peer, const HandOff& hand_off, WallTime now) {
    Json json{Json::Object{}};
    json.set("public_key", peer.peer.key.base64());
    const auto known = std::ranges::find(hand_off.peers, peer.peer.key, &MeshPeer::key);
    if (known != hand_off.peers.end()) {
        json.set("role", name_of(known->role));
        json.set("overlay_address", known->overlay_address.text());
    }
    if (peer.peer.endpoint) json.set("endpoint", peer.peer.endpoint->text());
    if (peer.last_handshake)
        json.set("handshake_age_seconds", std::int64_t{(now - *peer.last_handshake).count()});
    json.set("rx_bytes", static_cast<std::int64_t>(peer.rx_bytes));
    json.set("tx_bytes", static_cast<std::int64_t>(peer.tx_bytes));
    return json;
}

Json status_of(const HandOff& hand_off, const std::vector<InterfaceState>& have,
               std::size_t changes, WallTime now) {
    Json interfaces{Json::Array{}};
    for (const auto& wanted : hand_off.interfaces) {
        const InterfaceState* state = find(have, wanted.plan.name);
        Json item{Json::Object{}};
        item.set("name", wanted.plan.name);
        item.set("present", state != nullptr);
        if (state != nullptr) {
            item.set("ifindex", state->wireguard.ifindex);
            item.set("same_interface", state->wireguard.ifindex == wanted.ifindex);
            item.set("listen_port", int{state->wireguard.listen_port});
            Json peers{Json::Array{}};
            for (const auto& peer : state->wireguard.peers)
                peers.push(peer_status(peer, hand_off, now));
            item.set("peers", std::move(peers));
        }
        interfaces.push(std::move(item));
    }
    Json json{Json::Object{}};
    json.set("version", 1);
    json.set("time", to_rfc3339(now));
    json.set("node", hand_off.node.base64());
    json.set("overlay_address", hand_off.overlay_address.text());
    json.set("changes_last_round", static_cast<std::int64_t>(changes));
    json.set("interfaces", std::move(interfaces));
    return json;
}

}  // namespace fortros
