// What a Mesh says of itself: the overlay that should be, and who is a peer and why.
#include <algorithm>
#include <utility>

#include "mesh/mesh_state.h"

namespace fortros::mesh {

bool Mesh::State::behind_nat(const std::optional<Endpoint>& seen) const {
    return seen && !std::ranges::contains(underlay, seen->address);
}

// By what the other sees of this node; until it has said that, by what the lighthouses see.
bool Mesh::State::behind_nat(const Contact& contact) const {
    if (contact.seen) return behind_nat(contact.seen);
    return std::ranges::any_of(relays, [this](const RelayPath& it) { return behind_nat(it.seen); });
}

// A NAT is known by two peers that it lets through. One that lets nobody through who is behind a NAT, too, is taken for
// the kind that does so, or everybody who tries would try for ever.
bool Mesh::State::seems_symmetric() const {
    static constexpr std::ptrdiff_t enough_failures = 4;
    const auto is_let_through = [](const auto& it) {
        const Contact& contact = it.second;
        return contact.tunnel && contact.tunnel->worked && !contact.tunnel->on_lan &&
               contact.standing && contact.standing->nat != Nat::None;
    };
    const auto has_failed = [](const auto& it) { return it.second.held_for == HeldFor::NoWay; };
    return std::ranges::any_of(relays, [this](const auto& it) { return behind_nat(it.seen); }) &&
           std::ranges::none_of(contacts, is_let_through) &&
           std::ranges::count_if(contacts, has_failed) >= enough_failures;
}

void Mesh::State::refresh_own() {
    if (!own_stale) return;
    own_stale = false;
    std::vector<Sight> sights;
    for (const RelayPath& relay : relays)
        if (relay.seen) sights.push_back({*relay.seen, false});
    for (const auto& [key, contact] : contacts)
        if (contact.tunnel && contact.seen) sights.push_back({*contact.seen, true});
    const Nat before = own.nat;
    own = whereabouts(underlay, direct_port, sights);
    // A NAT is no other because the peers have gone by whom it was known.
    if (own.nat == Nat::Unknown) own.nat = before;
    if (own.nat == Nat::Unknown && seems_symmetric()) own.nat = Nat::Symmetric;
}

WantedPeer Mesh::State::wanted(const Contact& contact, Instant now) const {
    const Tunnel& tunnel = *contact.tunnel;
    WantedPeer out{.key = contact.key, .address = contact.address};
    out.endpoint = tunnel.endpoint;
    out.routed = tunnel.path.carries();
    // From one side, and only to keep open what a NAT would close.
    const bool other_does =
        contact.standing && contact.key < self.key &&
        (contact.standing->nat == Nat::Cone || contact.standing->nat == Nat::Symmetric);
    const bool is_idle = contact.demand.at(now) < demand_to_keep;
    if (!serves() && out.routed && !tunnel.on_lan && behind_nat(contact) && !other_does &&
        !(self.metered && is_idle))
        out.keepalive_s = nat_keepalive_s;
    return out;
}

WantedPeer Mesh::State::wanted(const Member& member, Instant now) const {
    const auto contact = contacts.find(member.key);
    if (contact != contacts.end() && contact->second.tunnel) return wanted(contact->second, now);
    WantedPeer out{.key = member.key, .address = member.address};
    if (!member.endpoints.empty()) out.endpoint = member.endpoints.front();
    return out;
}

WantedLighthouse Mesh::State::wanted(const RelayPath& relay, unsigned rank) const {
    WantedLighthouse out{.key = relay.key,
                         .address = relay.address,
                         .endpoints = relay.endpoints,
                         .endpoint = relay.endpoint,
                         .rank = rank,
                         .alive = relay.path.state() != PathState::Dead};
    if (!out.endpoint && !relay.kernel && !relay.endpoints.empty() && !relay.path.carries())
        out.endpoint = relay.endpoints.front();
    // It must be able to send here at any time: that is what it is for.
    if (!relay.seen || behind_nat(relay.seen)) out.keepalive_s = nat_keepalive_s;
    return out;
}

// A lighthouse has all members for peers, and changes one at a time.
void Mesh::State::peer_stale(const Contact& contact) {
    if (!serves()) {
        overlay_stale = true;
        return;
    }
    const auto peer = std::ranges::lower_bound(overlay.peers, contact.key, {}, &WantedPeer::key);
    if (peer == overlay.peers.end() || peer->key != contact.key) return;
    const Member* member = members->find(contact.key);
    if (!member) return;
    const WantedPeer fresh = wanted(*member, planned);
    if (*peer == fresh) return;
    *peer = fresh;
    ++overlay_revision;
}

void Mesh::State::refresh_overlay(Instant now) {
    if (!overlay_stale) return;
    overlay_stale = false;
    WantedOverlay fresh;
    if (serves()) {
        for (const Member* member : members->all())
            if (!member->relays()) fresh.peers.push_back(wanted(*member, now));
    } else {
        for (const auto& [key, contact] : contacts)
            if (contact.tunnel) fresh.peers.push_back(wanted(contact, now));
    }
    for (unsigned rank = 0; const RelayPath& relay : relays)
        fresh.lighthouses.push_back(wanted(relay, rank++));
    if (fresh == overlay) return;
    overlay = std::move(fresh);
    ++overlay_revision;
}

// --- reports ---

static std::string hold_in_words(const Contact& contact, const Agreement* agreement, Instant now) {
    if (contact.not_before > now) {
        const std::string when = ", again in " + to_text(contact.not_before - now);
        switch (contact.held_for) {
            case HeldFor::Nothing: break;
            case HeldFor::NoWay: return "no direct way" + when;
            case HeldFor::Silent: return "silent" + when;
            case HeldFor::Refused: return "refused" + when;
            case HeldFor::Yielded: return "made room" + when;
        }
    }
    if (!agreement) return {};
    if (agreement->state == LinkState::Wanting)
        return "asked " + std::to_string(agreement->attempts) + " times";
    if (agreement->state == LinkState::None && agreement->not_before > now) {
        const std::string when = ", again in " + to_text(agreement->not_before - now);
        if (contact.refused) return "refused: " + std::string(name_of(*contact.refused)) + when;
        return (agreement->failures > 0 ? "does not answer" : "ended") + when;
    }
    return {};
}

PeerReport Mesh::State::report_of(const Contact& contact, Instant now) const {
    const Candidate some = candidate(contact, now);
    PeerReport out{.key = contact.key};
    out.link = negotiation.state(contact.key);
    out.rtt = some.merits.rtt;
    out.score = score(some.merits).value();
    out.lifeline = some.merits.lifeline;
    const auto add = [&out](const std::string& part) {
        if (part.empty()) return;
        if (!out.reason.empty()) out.reason += "; ";
        out.reason += part;
    };
    if (contact.tunnel) {
        out.tier = contact.tunnel->on_lan ? Tier::Lan : Tier::Scored;
        out.path = contact.tunnel->path.state();
        if (contact.tunnel->path.rtt()) out.rtt = contact.tunnel->path.rtt();
    }
    if (contact.wish)
        add(contact.wish->in_words());
    else if (contact.tunnel)
        add(serves() ? "a member" : contact.spare_since ? "no reason of our own" : "it asked");
    else
        add("others are worth more");
    add(hold_in_words(contact, negotiation.find(contact.key), now));
    add(in_words(some.merits));
    return out;
}

std::vector<PeerReport> Mesh::State::report(std::size_t others, Instant now) const {
    std::vector<PeerReport> out;
    std::vector<PeerReport> rest;
    out.reserve(relays.size() + contacts.size());
    for (const RelayPath& relay : relays)
        out.push_back({.key = relay.key,
                       .tier = Tier::Lighthouse,
                       .link = LinkState::Linked,
                       .path = relay.path.state(),
                       .rtt = relay.path.rtt(),
                       .reason = "a lighthouse"});
    for (const auto& [key, contact] : contacts)
        (contact.tunnel ? out : rest).push_back(report_of(contact, now));
    std::ranges::stable_sort(rest, std::greater{}, &PeerReport::score);
    if (rest.size() > others) rest.resize(others);
    std::ranges::move(rest, std::back_inserter(out));
    return out;
}

}  // namespace fortros::mesh
