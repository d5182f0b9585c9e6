// What other nodes say to a Mesh, and what it says back.
#include <algorithm>
#include <utility>

#include "mesh/mesh_state.h"

namespace fortros::mesh {

void Mesh::State::send(const PublicKey& to, Via via, LinkMessage message) {
    if (outbox.size() < outbox_limit) outbox.push_back({to, via, std::move(message)});
}

Standing Mesh::State::standing() const {
    return {.candidates = own.candidates,
            .nat = own.nat,
            .sleeps = sleeps(),
            .links = static_cast<std::uint16_t>(negotiation.firm_links()),
            .room = static_cast<std::uint16_t>(negotiation.places_free()),
            .place = place};
}

// Where this node's kernel sees the other. What it was only told to try is no sight.
std::optional<Endpoint> Mesh::State::sight_of(const Contact& contact) const {
    if (!contact.tunnel || !(serves() || contact.tunnel->path.carries())) return {};
    return contact.tunnel->kernel;
}

// Takes what the other says of itself.
void Mesh::State::learn(Contact& contact, const LinkMessage& message, Instant now) {
    contact.standing = message.standing;
    if (contact.tunnel && !contact.tunnel->path.carries() && !serves()) try_news(contact, now);
    contact.refused.reset();
    if (message.seen && contact.seen != message.seen && is_usable(*message.seen, prefix)) {
        const bool was_nat = behind_nat(contact.seen);
        contact.seen = message.seen;
        own_stale = true;
        if (behind_nat(contact.seen) != was_nat) overlay_stale = true;
    }
}

void Mesh::State::received_probe(const Member& from, Via via, const LinkMessage& message,
                                 Instant now) {
    Contact* contact = find(from.key);
    LinkMessage echo{.verb = LinkVerb::Echo, .nonce = message.nonce};
    echo.standing = standing();
    echo.linked = serves() || negotiation.linked(from.key);
    if (contact && contact->tunnel && via == Via::Direct) {
        echo.seen = sight_of(*contact);
        PathWatch& path = contact->tunnel->path;
        path.hinted(now);
        path.replied();
        if (rests(*contact, now) && !path.echoed_within(explore_round_limit / 2, now))
            path.measure();  // while it is awake
        reschedule(*contact);
    }
    if (RelayPath* relay = find_relay(from.key)) {
        echo.seen = relay->kernel;
        if (via == Via::Lighthouse) {
            relay->path.hinted(now);
            relay->path.replied();
        }
    }
    if (!serves()) echo.introductions = introductions_for(from.key, now);
    // To it the direct path is dead. It tries that, too, and gets through only if this end's NAT is open; where
    // the path works from here, it learns that by a probe.
    if (via == Via::Relay && contact && contact->tunnel) {
        if (contact->tunnel->path.carries())
            contact->tunnel->path.measure();
        else
            send(from.key, Via::Direct, echo);
        reschedule(*contact);
    }
    // Back by the way that it came.
    send(from.key, via, std::move(echo));
    if (!serves() && !from.relays()) negotiation.heard(from.key, message, {}, now);
}

void Mesh::State::received_echo(const Member& from, Via via, const LinkMessage& message,
                                Instant now) {
    std::optional<Duration> rtt;
    bool is_answer = false;
    const auto echoed = [&](PathWatch& path) {
        const PathWatch::Answer answer = path.echoed(message.nonce, now);
        is_answer = answer != PathWatch::Answer::None;
        if (answer == PathWatch::Answer::Measure) rtt = path.rtt();
    };
    if (RelayPath* relay = find_relay(from.key)) {
        const PathState before = relay->path.state();
        if (via == Via::Lighthouse) echoed(relay->path);
        relay_changed(*relay, before, now);
        if (message.seen && relay->seen != message.seen) {
            relay->seen = message.seen;
            own_stale = overlay_stale = true;
        }
    } else if (Contact* contact = find(from.key)) {
        learn(*contact, message, now);
        if (contact->tunnel && via == Via::Direct) {
            Tunnel& tunnel = *contact->tunnel;
            const PathState before = tunnel.path.state();
            echoed(tunnel.path);
            if (rtt) measured(*contact, *rtt);
            if (before != tunnel.path.state()) path_changed(*contact, before, now);
            judge_lan(*contact, now);
            reschedule(*contact);
        }
        if (!serves()) negotiation.heard(from.key, message, {}, now);
    }
    if (rtt) place = mesh::moved(place, message.standing.place, *rtt, message.nonce);
    if (is_answer && !serves()) introduced(message.introductions, now);
}

// The other's way to here is dead: its packets come otherwise, so ours must not go there either.
void Mesh::State::received_down(const Member& from, Instant now) {
    if (RelayPath* relay = find_relay(from.key)) {
        const PathState before = relay->path.state();
        relay->path.told_dead(now);
        relay_changed(*relay, before, now);
        return;
    }
    Contact* contact = find(from.key);
    if (!contact || !contact->tunnel) return;
    const PathState before = contact->tunnel->path.state();
    contact->tunnel->path.told_dead(now);
    if (before != contact->tunnel->path.state()) path_changed(*contact, before, now);
    reschedule(*contact);
}

Welcome Mesh::State::welcome_of(const Member& from, Instant now) const {
    Welcome out;
    const bool is_expired = wall && from.not_after < *wall;
    out.member = !is_expired;
    out.willing = true;
    const auto contact = contacts.find(from.key);
    out.reachable = contact == contacts.end() || can_meet(contact->second, now);
    const bool is_lan = contact != contacts.end() && contact->second.maybe_on_link(now);
    out.lonely_room = negotiation.places_free();
    out.room = out.lonely_room - std::min(out.lonely_room, reserved_places);
    if (is_lan) out.room = std::max<std::size_t>(out.room, 1);
    // Whom this node talks with it would ask itself, or keep.
    const bool is_busy =
        contact != contacts.end() && contact->second.demand.at(now) >= demand_to_keep;
    if (is_busy) out.room = std::max(out.room, out.lonely_room);
    return out;
}

void Mesh::State::received_want(const Member& from, const LinkMessage& message, Instant now) {
    if (serves() || from.relays()) {
        LinkMessage accept{.verb = LinkVerb::Accept, .nonce = message.nonce};
        accept.standing = standing();
        accept.attestation = self.attestation;
        send(from.key, Via::Overlay, std::move(accept));
        return;
    }
    Contact& contact = contact_of(from);
    learn(contact, message, now);
    const Welcome welcome = welcome_of(from, now);
    const bool is_lonely = message.standing.links <= lonely_links;
    const bool is_busy = contact.demand.at(now) >= demand_to_keep;
    if ((is_lonely || is_busy) && welcome.lonely_room == 0 && welcome.reachable)
        need_room_for(contact, now);
    negotiation.heard(from.key, message, welcome, now);
}

// A link that this node wishes for stays, unless the other needs the place and this one has others.
void Mesh::State::received_may_leave(const Member& from, const LinkMessage& message, Instant now) {
    Contact* contact = find(from.key);
    Welcome welcome;
    if (contact && contact->tunnel) {
        contact->standing = message.standing;
        const bool yields = contact->wish && is_weak(contact->wish->why) &&
                            message.standing.room == 0 && negotiation.firm_links() > yield_links;
        welcome.keep = contact->wish && contact->wish->why != Why::Kept && !yields;
        if (yields) hold(*contact, HeldFor::Yielded, yield_hold, yield_hold, now);
    }
    negotiation.heard(from.key, message, welcome, now);
    if (!welcome.keep) plan_soon(now);
}

// Who might be near to the asker: nearest first by the map, or by what was measured from here.
std::vector<Introduction> Mesh::State::introductions_for(const PublicKey& key, Instant now) const {
    const auto asker = contacts.find(key);
    if (asker == contacts.end()) return {};
    const Coordinate where = asker->second.where();
    struct Near {
        Duration far;
        const Contact* contact;
    };
    std::vector<Near> near;
    for (const auto& [other, contact] : contacts) {
        if (other == key || !(contact.where().known() || contact.measured)) continue;
        if (contact.not_before > now) continue;
        const Duration far = where.known() && contact.where().known()
                                 ? estimate_rtt(where, contact.where())
                                 : contact.measured.value_or(unknown_rtt);
        near.push_back({far, &contact});
    }
    const auto count = std::min(near.size(), introductions_limit);
    std::ranges::partial_sort(
        near, near.begin() + static_cast<std::ptrdiff_t>(count), [](const Near& a, const Near& b) {
            return a.far != b.far ? a.far < b.far : a.contact->key < b.contact->key;
        });
    std::vector<Introduction> out;
    for (std::size_t i = 0; i < count; ++i) {
        const Contact& contact = *near[i].contact;
        const double rtt = milliseconds_of(contact.measured.value_or(Duration{}));
        out.push_back(
            {contact.key, static_cast<std::uint16_t>(std::min(rtt, 65535.0)), contact.where()});
    }
    return out;
}

void Mesh::State::introduced(const std::vector<Introduction>& introductions, Instant now) {
    bool has_news = false;
    for (const Introduction& some : introductions) {
        const Member* member = members->find(some.key);
        if (!member || member->relays() || some.key == self.key) continue;
        has_news = has_news || !find(some.key);
        Contact& contact = contact_of(*member);
        if (!contact.standing) contact.place = some.place;
    }
    if (!has_news) return;
    plan_soon(now);
    forget_some(now);
}

// The other gave up a tunnel that never worked, a little earlier than we: it works from here neither.
// If only the one that is faster to give up held back, the other would ask again at once, for ever.
void Mesh::State::found_no_way(Contact& contact, Instant now) {
    const bool is_tried = contact.tunnel && !contact.tunnel->worked &&
                          now - contact.tunnel->since >= no_way_patience / 2;
    if (!is_tried || contact.not_before > now) return;
    contact.failures.add(1, now);
    hold(contact, HeldFor::NoWay, no_way_hold, no_way_hold_limit, now);
}

// Sends what the negotiation says, and opens and closes tunnels as it has agreed.
void Mesh::State::take_outcome(Instant now) {
    Negotiation::Outcome outcome = negotiation.take();
    for (Negotiation::Change& change : outcome.changes) {
        Contact* contact = find(change.peer);
        if (!contact) continue;
        if (change.up) {
            open_tunnel(*contact, PathState::New, now);
        } else {
            found_no_way(*contact, now);
            close_tunnel(*contact);
        }
        plan_soon(now);
    }
    for (Negotiation::Said& said : outcome.said) {
        const LinkVerb verb = said.message.verb;
        const Contact* contact = find(said.to);
        if (verb == LinkVerb::Want || verb == LinkVerb::Accept) {
            said.message.attestation = self.attestation;
            if (contact) said.message.seen = sight_of(*contact);
        }
        if (verb == LinkVerb::Want || verb == LinkVerb::Accept || verb == LinkVerb::MayLeave)
            said.message.standing = standing();
        send(said.to, Via::Overlay, std::move(said.message));
    }
}

}  // namespace fortros::mesh
