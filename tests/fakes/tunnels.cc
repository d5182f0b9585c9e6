#include "fakes/tunnels.h"

namespace fortros::fakes {

void NodeTunnels::apply(const OverlayPlan& plan, const std::optional<PublicKey>& renew) {
    up = plan;
    if (renew) sessions.erase(*renew);
    std::erase_if(sessions, [this](const PublicKey& key) { return peer(key) == nullptr; });
    for (const auto& interface : plan.interfaces)
        for (const auto& one : interface.peers) configured.insert(one.key);
}

void NodeTunnels::take_down() {
    up.reset();
    sessions.clear();
}

const WireGuardPeer* NodeTunnels::peer(const PublicKey& key) const {
    if (!up) return nullptr;
    for (const auto& interface : up->interfaces)
        for (const auto& one : interface.peers)
            if (one.key == key) return &one;
    return nullptr;
}

}  // namespace fortros::fakes
