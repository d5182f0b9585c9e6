// The lighthouses of a Mesh, and a Mesh that is one.
#include <algorithm>

#include "mesh/mesh_state.h"

namespace fortros::mesh {

RelayPath* Mesh::State::find_relay(const PublicKey& key) {
    const auto at = std::ranges::find(relays, key, &RelayPath::key);
    return at == relays.end() ? nullptr : &*at;
}

// To a lighthouse everybody comes by himself: a path is watched since somebody has.
Contact* Mesh::State::served(const PublicKey& key, Instant now) {
    if (Contact* contact = find(key); contact && contact->tunnel) return contact;
    const Member* member = members->find(key);
    if (!member || member->relays()) return nullptr;
    Contact& contact = contact_of(*member);
    open_tunnel(contact, PathState::New, now);
    return &contact;
}

// Those of the members, what is known of them kept.
void Mesh::State::sync_relays(Instant now) {
    const auto listed = members->relays();
    std::erase_if(relays, [&](const RelayPath& relay) {
        return !std::ranges::contains(listed, relay.key, &Member::key);
    });
    for (const Member* member : listed) {
        if (member->key == self.key) continue;
        if (RelayPath* relay = find_relay(member->key)) {
            relay->endpoints = member->endpoints;
        } else if (relays.size() < relays_limit) {
            relays.push_back({.key = member->key,
                              .address = member->address,
                              .endpoints = member->endpoints,
                              .path = PathWatch(now),
                              .try_until = now + try_time,
                              .verify_due = now + relay_verify_interval,
                              .verify_pause = relay_first_verify});
        }
    }
    overlay_stale = true;
}

// Of measures: soon after each other at first, then seldom, and not those of all nodes at once.
Duration Mesh::State::next_pause(RelayPath& relay) {
    relay.verify_pause = std::min(2 * relay.verify_pause, relay_verify_interval);
    return relay.verify_pause +
           Duration(random->below(static_cast<std::uint64_t>(relay.verify_pause.count() / 8)));
}

void Mesh::State::step_relay(RelayPath& relay, Instant now) {
    if (now >= relay.verify_due && relay.path.state() == PathState::Dead) {
        // It may be the way back to everybody else.
        relay.path.hinted(now);
        relay.verify_due = now + relay_dead_interval;
    } else if (now >= relay.verify_due) {
        relay.path.measure();
        relay.verify_due = now + next_pause(relay);
    }
    const PathState before = relay.path.state();
    const auto nonce = relay.path.step(now, *random);
    relay_changed(relay, before, now);
    if (!nonce) return;
    if (!relay.path.carries() && now >= relay.try_until) {
        relay.try_until = now + try_time;
        relay.trying = (relay.trying + 1) % relay.endpoints.size();
        relay.endpoint = relay.endpoints[relay.trying];
        overlay_stale = true;
    }
    send(relay.key, Via::Lighthouse, {.verb = LinkVerb::Probe, .nonce = *nonce});
}

void Mesh::State::relay_changed(RelayPath& relay, PathState before, Instant now) {
    if (before == relay.path.state()) return;
    overlay_stale = true;
    if (relay.path.state() == PathState::Dead) {
        relay.try_until = now + try_time;
        relay.verify_due = now + relay_dead_interval;
        relay.works_since.reset();
        return;
    }
    if (!relay.path.carries() || relay.works_since) return;
    relay.works_since = now;
    relay.endpoint.reset();
    relay.verify_pause = relay_first_verify;
    relay.verify_due = now + relay.verify_pause;
    // Whoever could not be reached so far may be reached by it.
    negotiation.moved(now);
    search(now);
    plan_soon(now);
}

// The best first: alive, then near. A rank changes only for something much better that has been there for
// a while, and a dead one moves behind all that live.
void Mesh::State::rank_relays(Instant now) {
    const auto is_better = [now](const RelayPath& a, const RelayPath& b) {
        const bool a_dead = a.path.state() == PathState::Dead;
        const bool b_dead = b.path.state() == PathState::Dead;
        if (a_dead != b_dead) return b_dead;
        if (a_dead || !a.path.rtt() || !b.path.rtt()) return false;
        if (!a.works_since || now - *a.works_since < relay_settle_time) return false;
        return *a.path.rtt() + rank_gain < *b.path.rtt() * 3 / 4;
    };
    // An insertion sort, which few swaps end; hysteresis is no order, so no other sort will do.
    for (std::size_t i = 1; i < relays.size(); ++i)
        for (std::size_t k = i; k > 0 && is_better(relays[k], relays[k - 1]); --k) {
            std::swap(relays[k], relays[k - 1]);
            overlay_stale = true;
        }
}

}  // namespace fortros::mesh
