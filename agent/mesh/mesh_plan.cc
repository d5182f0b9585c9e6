// What a Mesh wishes for, and how it gets there: a bounded step a round.
#include <algorithm>
#include <cmath>

#include "mesh/mesh_state.h"

namespace fortros::mesh {

// Of places for scored peers.
std::size_t Mesh::State::limit() const { return self.metered ? scored_limit / 2 : scored_limit; }

Budget Mesh::State::budget() const {
    Budget out{.target = scored_target, .limit = limit(), .lan = lan_limit};
    if (self.metered) {
        out.target /= 2;
        out.sorts /= 2;
    }
    out.lonely = is_lonely();
    return out;
}

bool Mesh::State::is_lonely() const { return negotiation.firm_links() <= lifeline_links; }

bool Mesh::State::may_be_asked(const Contact& contact, Instant now) const {
    if (contact.not_before > now) return false;
    const Member* member = members->find(contact.key);
    if (!member || (wall && member->not_after < *wall)) return false;
    const Agreement* agreement = negotiation.find(contact.key);
    if (!agreement) return true;
    if (agreement->failures > 0) return false;  // until it answers, substitutes do
    if (agreement->state == LinkState::None) return agreement->not_before <= now;
    return agreement->attempts <= patient_attempts;
}

// Whether a handshake is worth a try, by what both know of their NATs: on the link and behind one NAT it
// always is.
bool Mesh::State::can_meet(const Contact& contact, Instant now) const {
    if (!contact.standing || may_meet(own.nat, contact.standing->nat)) return true;
    if (contact.maybe_on_link(now) || (contact.tunnel && contact.tunnel->path.carries()))
        return true;
    return std::ranges::any_of(contact.standing->candidates, [&](const Endpoint& told) {
        return !is_private(told.address) &&
               std::ranges::contains(own.candidates, told.address, &Endpoint::address);
    });
}

std::optional<Duration> Mesh::State::estimate(const Contact& contact) const {
    if (contact.estimated) return contact.estimated;
    if (!place.known() || !contact.where().known()) return {};
    // An uncertain estimate counts as longer: a try costs a handshake.
    const std::int64_t uncertain = 1000 + (place.error + contact.where().error) / 2;
    return estimate_rtt(place, contact.where()) * uncertain / 1000;
}

// What was expected of whom it was asked for tells how far the next estimate is to be believed.
void Mesh::State::measured(Contact& contact, Duration rtt) {
    if (contact.expected) {
        const double miss = points_between(*contact.expected, rtt);
        doubt += doubt_share * (std::clamp(miss, 0.0, doubt_points_limit) - doubt);
        contact.expected.reset();
    }
    contact.measured = rtt;
}

Candidate Mesh::State::candidate(const Contact& contact, Instant now) const {
    Candidate out{.key = contact.key};
    Merits& merits = out.merits;
    merits.measured = contact.measured.has_value();
    if (contact.measured) {
        merits.rtt = contact.measured;
    } else if (const auto rtt = estimate(contact)) {
        const double times = std::exp2(doubt / points_per_doubling);
        merits.rtt = Duration(std::llround(static_cast<double>(rtt->count()) * times));
    }
    merits.failures = contact.failures.at(now);
    merits.demand = contact.demand.at(now);
    merits.recent_demand = contact.recent_demand.at(now);
    merits.own_nat = own.nat;
    merits.linked = negotiation.linked(contact.key);
    if (contact.standing) {
        merits.nat = contact.standing->nat;
        merits.links = contact.standing->links;
        merits.full = contact.standing->room == 0;
        merits.lifeline = merits.linked && merits.links <= lifeline_links;
    }
    out.wished = contact.wish.has_value();
    out.willing = may_be_asked(contact, now);
    out.lan = contact.maybe_on_link(now) || (contact.tunnel && contact.tunnel->on_lan);
    out.held = contact.not_before > now || !can_meet(contact, now);
    if (out.held) out.willing = false;
    if (contact.tunnel) {
        const PathWatch& path = contact.tunnel->path;
        const Duration patience = !contact.tunnel->worked ? no_way_patience / 2
                                  : rests(contact, now)   ? sleep_limit
                                                          : lapse_patience;
        out.works = path.carries() || now - path.since() < patience;
    }
    return out;
}

std::vector<Candidate> Mesh::State::candidates(Instant now) const {
    std::vector<Candidate> out;
    out.reserve(contacts.size());
    for (const auto& [key, contact] : contacts)
        if (contact.released_until <= now) out.push_back(candidate(contact, now));
    return out;
}

void Mesh::State::make_plan(Instant now) {
    planned = now;
    // Not all nodes in one moment, should they have started in one.
    plan_due =
        now + plan_interval_settled +
        Duration(random->below(static_cast<std::uint64_t>(plan_interval_settled.count() / 4)));
    if (room_needed) make_room(now);
    Budget places = budget();
    places.reluctance = reluctance(now);
    follow(plan(self.key, *members, candidates(now), places, wall), now);
    forget_some(now);
}

void Mesh::State::follow(const Plan& plan, Instant now) {
    const Difference todo =
        difference(plan, negotiation.all(), asks_a_round, negotiation.places_free());
    for (auto& [key, contact] : contacts) contact.wish.reset();
    for (const Wish& wish : plan.wishes) {
        const Member* member = members->find(wish.key);
        if (!member) continue;
        Contact& contact = contact_of(*member);
        contact.wish = wish;
        contact.spare_since.reset();
    }
    for (const PublicKey& key : todo.ask) {
        Contact* contact = find(key);
        if (!contact) continue;
        negotiation.wish(key, true, now, contact->wish->why != Why::Lan);
        if (!contact->measured) contact->expected = estimate(*contact);
        // Whoever is nearer than expected may know others.
        if (contact->wish->why == Why::Near && !contact->tunnel) {
            explore_pause = explore_interval;
            explore_due = std::min(explore_due, now + explore_pause);
        }
    }
    for (const PublicKey& key : todo.forget) {
        Contact* contact = find(key);
        if (contact && contact->not_before <= now && negotiation.find(key)->failures > 0)
            hold(*contact, HeldFor::Silent, silent_hold, silent_hold_limit, now);
        negotiation.wish(key, false, now);
    }
    for (const PublicKey& key : todo.spare)
        if (Contact* contact = find(key)) spare(*contact, now);
    if (todo.more) plan_due = now + round_interval;
}

// A link that nothing speaks for. It may be wanted again in a moment, so it is let go later.
void Mesh::State::spare(Contact& contact, Instant now) {
    if (!contact.spare_since) contact.spare_since = now;
    const bool is_over =
        now - *contact.spare_since >= spare_patience || contact.released_until > now;
    negotiation.wish(contact.key, !is_over, now);
    if (!is_over) plan_due = std::min(plan_due, *contact.spare_since + spare_patience);
}

// Somebody who has nobody else, or much to say, is turned away. Room is made for the next time that it asks.
void Mesh::State::need_room_for(Contact& asker, Instant now) {
    if (now < asker.room_not_before) return;
    asker.room_not_before = now + same_room_interval;
    room_needed = true;
    plan_soon(now);
}

// For somebody who was turned away: asks the least useful peer to make do without us.
void Mesh::State::make_room(Instant now) {
    room_needed = false;
    const bool has_rested = reluctance(now) >= reluctance_limit;
    if (now < room_made + (has_rested ? rested_room_interval : make_room_interval)) return;
    room_made = now;
    Contact* least = nullptr;
    double least_value = 0;
    for (auto& [key, contact] : contacts) {
        if (!contact.tunnel || contact.tunnel->on_lan || contact.released_until > now) continue;
        if (contact.wish && !is_weak(contact.wish->why)) continue;
        const Candidate some = candidate(contact, now);
        if (some.merits.lifeline) continue;
        const bool is_near = contact.wish && contact.wish->why == Why::Near;
        const double value = score(some.merits).value() + (is_near ? 100 : 0);
        if (least && value >= least_value) continue;
        least = &contact;
        least_value = value;
    }
    if (least) least->released_until = now + yield_hold;
}

// Forgets whom nothing is known of that would not be told again, the farthest first.
void Mesh::State::forget_some(Instant now) {
    const std::size_t most = serves()      ? contacts.size()
                             : is_lonely() ? contacts_limit_lonely
                                           : contacts_limit;
    if (contacts.size() <= most) return;
    std::vector<const Contact*> idle;
    for (const auto& [key, contact] : contacts) {
        if (contact.tunnel || contact.wish || negotiation.find(key)) continue;
        if (contact.beacons(now) || contact.lan_not_before > now) continue;
        if (contact.not_before > now || contact.demand.at(now) >= demand_to_keep) continue;
        idle.push_back(&contact);
    }
    if (idle.size() <= most) return;
    std::vector<std::pair<double, PublicKey>> by_worth;
    for (const Contact* contact : idle) {
        // What was measured would not be told again, and is worth more than somebody's estimate.
        const double known = contact->measured ? 1000 : 0;
        by_worth.emplace_back(-score(candidate(*contact, now).merits).value() - known,
                              contact->key);
    }
    std::ranges::sort(by_worth);
    // Some more than necessary, so that it is not done again for the next one.
    std::size_t surplus = by_worth.size() - most + most / 8;
    for (auto worst = by_worth.rbegin(); worst != by_worth.rend() && surplus > 0;
         ++worst, --surplus)
        contacts.erase(worst->second);
}

// Something was lost: what is near may be another now.
void Mesh::State::search(Instant now) {
    search_since = now;
    explore_pause = explore_interval;
    explore_due = std::min(explore_due, now + explore_pause);
}

double Mesh::State::reluctance(Instant now) const {
    const auto rested = static_cast<double>((now - search_since - search_time).count());
    const double share = rested / static_cast<double>(search_cooling.count());
    return std::clamp(share, 0.0, 1.0) * reluctance_limit;
}

bool Mesh::State::sleeps() const { return self.metered && !serves() && own.nat != Nat::None; }

// Idle, and one of the two keeps nothing open for that: then a path that seems dead is no loss, and comes
// back when that one has something to say.
bool Mesh::State::rests(const Contact& contact, Instant now) const {
    const bool may_sleep = sleeps() || (contact.standing && contact.standing->sleeps);
    const bool is_on_lan = contact.tunnel && contact.tunnel->on_lan;
    // Who sleeps says when there is enough to stay awake for; what the other has counted may be a little more.
    const double busy = sleeps() ? demand_to_keep : 2 * demand_to_keep;
    return may_sleep && !is_on_lan && contact.demand.at(now) < busy;
}

// Measures one link after the other, and hears of others by its answer.
void Mesh::State::explore(Instant now) {
    std::size_t links = 0;
    Contact* next = nullptr;
    Contact* first = nullptr;
    Contact* overdue = nullptr;
    for (auto& [key, contact] : contacts) {
        if (!contact.tunnel || !contact.tunnel->path.carries()) continue;
        // Whom nobody can wake is measured when it wakes by itself, and asked for where it never does: it may have
        // started anew, and not know of the link.
        const bool is_asleep = contact.standing && contact.standing->sleeps && rests(contact, now);
        if (is_asleep && contact.tunnel->path.echoed_within(sleep_limit, now)) continue;
        ++links;
        if (is_asleep) overdue = &contact;
        if (!first) first = &contact;
        if (!next && key > explored) next = &contact;
    }
    if (!next) next = first;
    if (overdue)
        next = overdue;  // out of turn
    else if (next)
        explored = next->key;
    if (next) {
        next->tunnel->path.measure();
        schedule(*next, now);
    }
    const Duration longest =
        explore_round_limit / static_cast<long>(std::max<std::size_t>(links, 1));
    explore_pause =
        std::min(explore_pause + explore_pause / 4, std::max(longest, explore_interval));
    explore_due = now + explore_pause -
                  Duration(random->below(static_cast<std::uint64_t>(explore_pause.count() / 8)));
}

}  // namespace fortros::mesh
