// What happens on the node itself: its stores, its kernel, its files.
#include "fakes/boot_world.h"

namespace fortros::fakes {

// What a store, the kernel or a file takes; the node does nothing else in the meantime.
static constexpr Duration local_cost = 1ms;

static Status status_of(const std::optional<Error>& error) {
    return error ? Status(std::unexpected(*error)) : Status();
}

void BootWorld::apply_overlay(ApplyOverlay& apply) {
    applied = apply.plan;
    if (apply.remembered) applied_from_memory = apply.plan;
    renewed = apply.renew;
    if (overlay_error)
        return at_once(local_cost,
                       OverlayApplied{std::unexpected(*overlay_error), apply.remembered});
    m_node = *crypto::public_key_of(apply.key);
    if (apply.renew) ++m_renewals[*apply.renew];
    tunnels.apply(apply.plan, apply.renew);
    std::vector<InterfaceHandOff> interfaces;
    for (const auto& plan : apply.plan.interfaces) interfaces.push_back({plan, 7});
    at_once(local_cost, OverlayApplied{std::move(interfaces), apply.remembered});
}

// A handshake that is older than the newest that the peer has seen is dropped without a word.
bool BootWorld::is_answered_by(const PublicKey& peer) const {
    if (newest_handshake && node_now().wall < *newest_handshake) return false;
    if (wireguards.empty())
        return gateway_answers_handshake && (!handshake_follows_routes || routes_carry_wireguard());
    const WireGuardPeer* known = tunnels.peer(peer);
    return known != nullptr && known->endpoint &&
           answers_handshake(*known->endpoint, peer, 0, now.instant);
}

// As os/handshake.h and the kernel do together, for as long as nobody waits for this peer anew.
void BootWorld::initiate(const PublicKey& peer, unsigned watch) {
    if (m_watches[peer] != watch || tunnels.peer(peer) == nullptr) return;
    if (tunnels.sessions.contains(peer))
        return after({}, {}, [peer]() -> Event { return HandshakeAnswered{peer}; });
    if (!is_answered_by(peer))
        return after(handshake_retry, {}, [this, peer, watch]() -> Event {
            initiate(peer, watch);
            return {};
        });
    newest_handshake = node_now().wall;
    after(handshake_takes / 2, {}, [this, peer]() -> Event {
        if (peer == org.gateway_public) org.sessions.insert(m_node);
        return {};
    });
    after(handshake_takes, {}, [this, peer, watch, renewals = m_renewals[peer]]() {
        return end_handshake(peer, watch, renewals);
    });
}

// The answer to an initiation of before is none to a peer that was removed and added again.
BootWorld::Event BootWorld::end_handshake(const PublicKey& peer, unsigned watch,
                                          unsigned renewals) {
    if (tunnels.peer(peer) == nullptr || m_renewals[peer] != renewals) return {};
    tell("a handshake with " + peer.base64());
    tunnels.sessions.insert(peer);
    ++tunnels.handshakes;
    if (m_watches[peer] != watch) return {};
    return HandshakeAnswered{peer};
}

void BootWorld::perform_local(BootAction& action) {
    if (auto* save = std::get_if<SaveState>(&action)) {
        order.emplace_back("save-state");
        if (!state_store_error) stored_state = save->state;
        at_once(local_cost, StateSaved{status_of(state_store_error)});
    } else if (auto* store = std::get_if<StoreKey>(&action)) {
        order.emplace_back("store-key");
        if (!key_store_error) stored_key = std::move(store->key);
        at_once(local_cost, KeyStored{status_of(key_store_error)});
    } else if (auto* clock = std::get_if<SetClock>(&action)) {
        order.emplace_back("set-clock");
        clock_set = clock->time;
        clock_ahead = clock->time - now.wall;
    } else if (auto* apply = std::get_if<ApplyOverlay>(&action)) {
        order.emplace_back("apply-overlay");
        apply_overlay(*apply);
    } else if (auto* await = std::get_if<AwaitHandshake>(&action)) {
        order.emplace_back("await-handshake");
        initiate(await->peer, ++m_watches[await->peer]);
    } else if (auto* write = std::get_if<WriteHandOff>(&action)) {
        order.emplace_back("write-hand-off");
        if (!handoff_error) handed_off = write->hand_off;
        at_once(local_cost, HandOffWritten{status_of(handoff_error)});
    } else if (std::get_if<TakeDownOverlay>(&action)) {
        tell("the overlay is taken down");
        taken_down = true;
        order.emplace_back("take-down");
        tunnels.take_down();
    }
}

}  // namespace fortros::fakes
