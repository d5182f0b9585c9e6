// The WireGuard of a booting node, in memory: the interfaces that a plan has made, and the sessions that
// its kernel has with their peers. It holds no clock and sends nothing: its world says when.
#pragma once

#include <optional>
#include <set>

#include "core/overlay_plan.h"

namespace fortros::fakes {

struct NodeTunnels {
    std::optional<OverlayPlan> up{};   // absent: there is no interface
    std::set<PublicKey> sessions{};    // with whom, now
    std::set<PublicKey> configured{};  // every peer that there ever was
    unsigned handshakes = 0;           // that have succeeded, with whomever

    // As the kernel is brought to a plan by difference: who stays keeps its session.
    void apply(const OverlayPlan& plan, const std::optional<PublicKey>& renew);
    void take_down();
    // Absent: there is no such peer.
    const WireGuardPeer* peer(const PublicKey& key) const;
};

}  // namespace fortros::fakes
