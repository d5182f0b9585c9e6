// The tunnels of a Mesh: endpoints tried in turn, paths watched, and what is done when one dies.
#include <algorithm>

#include "mesh/mesh_state.h"

namespace fortros::mesh {

void Mesh::State::schedule(Contact& contact, Instant when) {
    if (contact.due == when) return;
    if (contact.due != Instant::max()) agenda.erase({contact.due, contact.key});
    contact.due = when;
    if (when != Instant::max()) agenda.emplace(when, contact.key);
}

// When the tunnel has something to do next, after it has been stepped.
void Mesh::State::reschedule(Contact& contact) {
    if (!contact.tunnel) return schedule(contact, Instant::max());
    const Tunnel& tunnel = *contact.tunnel;
    Instant next = tunnel.path.next_step();
    if (tunnel.before_lan) next = std::min(next, *tunnel.try_until);
    schedule(contact, next);
}

void Mesh::State::open_tunnel(Contact& contact, PathState state, Instant now) {
    if (contact.tunnel) return;
    contact.tunnel = std::make_unique<Tunnel>(Tunnel{.path = PathWatch(now, state), .since = now});
    if (!serves()) find_tries(contact, now);
    negotiation.works(contact.key, contact.tunnel->path.carries());
    schedule(contact, now);
    peer_stale(contact);
}

void Mesh::State::close_tunnel(Contact& contact) {
    if (!contact.tunnel) return;
    contact.tunnel.reset();
    contact.spare_since.reset();
    contact.seen.reset();
    schedule(contact, Instant::max());
    own_stale = true;
    peer_stale(contact);
}

std::vector<Endpoint> Mesh::State::tries_of(const Contact& contact, Instant now) const {
    const Member* member = members->find(contact.key);
    TryFor peer;
    if (contact.maybe_on_link(now)) peer.lan = contact.lan;
    if (contact.standing) peer.told = contact.standing->candidates;
    if (member) peer.listed = member->endpoints;
    return tries(peer, underlay, own.candidates, prefix);
}

// What may be tried, from the first.
void Mesh::State::find_tries(Contact& contact, Instant now) {
    Tunnel& tunnel = *contact.tunnel;
    tunnel.tries = tries_of(contact, now);
    tunnel.trying = 0;
    tunnel.try_until = now + try_time;
    if (!tunnel.tries.empty()) tunnel.endpoint = tunnel.tries.front();
}

// Where it has not been tried yet, now that it says where it is.
void Mesh::State::try_news(Contact& contact, Instant now) {
    Tunnel& tunnel = *contact.tunnel;
    auto fresh = tries_of(contact, now);
    const auto news = std::ranges::find_if(fresh, [&](const Endpoint& endpoint) {
        return !std::ranges::contains(tunnel.tries, endpoint);
    });
    if (news == fresh.end()) return;
    tunnel.trying = static_cast<std::size_t>(news - fresh.begin());
    tunnel.endpoint = *news;
    tunnel.try_until = now + try_time;
    tunnel.tries = std::move(fresh);
    peer_stale(contact);
}

void Mesh::State::try_next(Contact& contact, Instant now) {
    Tunnel& tunnel = *contact.tunnel;
    tunnel.try_until = now + try_time;
    if (tunnel.tries.empty()) return;
    if (tunnel.tries[tunnel.trying] == contact.lan) refute_lan(contact, now);
    tunnel.trying = (tunnel.trying + 1) % tunnel.tries.size();
    tunnel.endpoint = tunnel.tries[tunnel.trying];
    peer_stale(contact);
}

void Mesh::State::step_tunnel(Contact& contact, Instant now) {
    Tunnel& tunnel = *contact.tunnel;
    if (tunnel.before_lan && now >= *tunnel.try_until) end_lan_try(contact, now);
    const PathState before = tunnel.path.state();
    const auto nonce = tunnel.path.step(now, *random);
    if (before != tunnel.path.state()) path_changed(contact, before, now);
    const bool is_down = !tunnel.path.carries();
    if (nonce) {
        if (is_down && !serves() && tunnel.try_until && now >= *tunnel.try_until)
            try_next(contact, now);
        const LinkMessage probe{.verb = LinkVerb::Probe,
                                .nonce = *nonce,
                                .linked = serves() || negotiation.linked(contact.key)};
        send(contact.key, Via::Direct, probe);
        // Is it the path that is dead, or the other? And where is it? Two that have just begun may have
        // agreed before either knew of the NAT that it is behind.
        if (tunnel.path.state() == PathState::Dead && !serves())
            send(contact.key, Via::Relay,
                 {.verb = LinkVerb::Probe,
                  .nonce = *nonce ^ 1,
                  .linked = negotiation.linked(contact.key)});
    }
    if (is_down && !serves()) give_up(contact, now);
    // Never in the past: a step does what there is to do once.
    reschedule(contact);
    if (contact.due <= now) schedule(contact, now + 10ms);
}

void Mesh::State::path_changed(Contact& contact, PathState before, Instant now) {
    Tunnel& tunnel = *contact.tunnel;
    const bool carried = before == PathState::Alive || before == PathState::Suspect;
    const bool carries = tunnel.path.carries();
    negotiation.works(contact.key, carries);
    if (carried == carries && tunnel.path.state() != PathState::Dead) return;
    if (carries) {
        tunnel.worked = true;
        tunnel.endpoint.reset();               // where it was reached, the kernel knows best
        if (!serves()) tunnel.kernel.reset();  // and tells at the next look
        tunnel.tries = {};
        tunnel.try_until.reset();
        contact.hold = {};
        contact.held_for = HeldFor::Nothing;
    } else {
        if (carried) {
            if (!rests(contact, now)) {
                contact.failures.add(1, now);
                search(now);
            }
            plan_due = std::min(plan_due, now + lapse_patience);
            if (!serves()) send(contact.key, Via::Relay, {.verb = LinkVerb::Down});
        }
        set_on_lan(contact, false);
        tunnel.before_lan.reset();
        if (carried && !serves()) find_tries(contact, now);
    }
    own_stale = true;
    peer_stale(contact);
    if (!serves()) plan_soon(now);
}

void Mesh::State::hold(Contact& contact, HeldFor what, Duration first, Duration limit,
                       Instant now) {
    contact.hold = contact.hold == Duration{} ? first : std::min(contact.hold * 2, limit);
    contact.held_for = what;
    own_stale = own_stale || what == HeldFor::NoWay;
    contact.not_before =
        now + contact.hold +
        Duration(random->below(static_cast<std::uint64_t>(contact.hold.count() / 8 + 1)));
}

// A tunnel that carries nothing is no link: it goes when there is no hope left.
void Mesh::State::give_up(Contact& contact, Instant now) {
    const Tunnel& tunnel = *contact.tunnel;
    if (!tunnel.worked) {
        const Duration all_twice = 2 * try_time * static_cast<long>(tunnel.tries.size());
        if (now - tunnel.since < std::clamp(all_twice, no_way_patience, 2 * no_way_patience))
            return;
        contact.failures.add(1, now);
        hold(contact, HeldFor::NoWay, no_way_hold, no_way_hold_limit, now);
    } else {
        if (tunnel.path.state() != PathState::Dead) return;
        const Instant since = tunnel.path.since();
        const bool is_silent = !contact.heard || *contact.heard < since;
        const Duration patience = rests(contact, now) ? sleep_limit
                                  : is_silent         ? silent_patience
                                                      : dead_patience;
        if (now - since < patience) return;
        if (is_silent)
            hold(contact, HeldFor::Silent, silent_hold, silent_hold_limit, now);
        else
            hold(contact, HeldFor::NoWay, no_way_hold, no_way_hold_limit, now);
    }
    negotiation.dead(contact.key, now);
}

// --- the local network ---

void Mesh::State::set_on_lan(Contact& contact, bool on_lan) {
    contact.tunnel->on_lan = on_lan;
    negotiation.on_link(contact.key, on_lan);
}

// The beacon was wrong, or the link's address does not answer. It goes on being heard: were the next try
// always as soon, a link would come and go with it for ever.
void Mesh::State::refute_lan(Contact& contact, Instant now) {
    contact.lan_hold =
        contact.lan_hold == Duration{} ? lan_hold : std::min(contact.lan_hold * 2, lan_hold_limit);
    contact.lan_not_before = now + contact.lan_hold;
}

// Is this the other's address on the link, and is it as near as a link is?
void Mesh::State::judge_lan(Contact& contact, Instant now) {
    Tunnel& tunnel = *contact.tunnel;
    if (serves() || !contact.lan || !tunnel.kernel || !tunnel.path.carries()) return;
    if (tunnel.kernel == contact.lan) {
        const bool is_near = tunnel.path.rtt() && *tunnel.path.rtt() <= lan_rtt;
        if (is_near == tunnel.on_lan) return;
        if (!is_near && tunnel.path.rtt() < 2 * lan_rtt) return;
        set_on_lan(contact, is_near);
        if (is_near) {
            tunnel.before_lan.reset();
            contact.lan_hold = {};
        } else {
            refute_lan(contact, now);
        }
        peer_stale(contact);
        plan_soon(now);
    } else {
        set_on_lan(contact, false);
        if (!tunnel.before_lan && contact.lan_not_before <= now) try_lan(contact, now);
    }
}

// It works already, but by a longer way. If the link's does not answer soon, all is as before.
void Mesh::State::try_lan(Contact& contact, Instant now) {
    Tunnel& tunnel = *contact.tunnel;
    tunnel.before_lan = tunnel.kernel;
    tunnel.endpoint = contact.lan;
    tunnel.try_until = now + lan_try_time;
    tunnel.path = PathWatch(now, PathState::Alive);  // what was measured was another way
    tunnel.path.measure();
    refute_lan(contact, now);  // until it answers
    peer_stale(contact);
    schedule(contact, now);
}

void Mesh::State::end_lan_try(Contact& contact, Instant now) {
    Tunnel& tunnel = *contact.tunnel;
    if (tunnel.on_lan) {
        tunnel.endpoint.reset();
    } else {
        tunnel.endpoint = tunnel.before_lan;
        tunnel.path.moved(now);
    }
    tunnel.before_lan.reset();
    tunnel.try_until.reset();
    peer_stale(contact);
}

}  // namespace fortros::mesh
