#include "mesh/mesh.h"

#include <algorithm>
#include <utility>

#include "mesh/mesh_state.h"

namespace fortros::mesh {

std::string_view name_of(Tier tier) {
    switch (tier) {
        case Tier::Lan: return "lan";
        case Tier::Lighthouse: return "lighthouse";
        case Tier::Scored: return "scored";
    }
    return "?";
}

// --- the door ---

Mesh::Mesh(Self self, const Members& members, Random& random, Instant now)
    : m_state(std::make_unique<State>(std::move(self), members, random, now)) {}
Mesh::Mesh(Mesh&&) noexcept = default;
Mesh& Mesh::operator=(Mesh&&) noexcept = default;
Mesh::~Mesh() = default;

void Mesh::members_changed(const Members& members) {
    m_state->members = &members;
    m_state->members_news = true;
}

void Mesh::attested(Bytes attestation) { m_state->self.attestation = std::move(attestation); }

void Mesh::observed(const Observation& observation, Instant now) {
    m_state->observed(observation, now);
}

void Mesh::heard(const LanHint& hint, Instant now) { m_state->heard(hint, now); }

void Mesh::received(const PublicKey& from, Via via, const LinkMessage& message, Instant now) {
    m_state->received(from, via, message, now);
}

void Mesh::moved(Instant now) { m_state->moved(now); }

void Mesh::adopt(const std::vector<WantedPeer>& peers, const std::vector<PublicKey>& lighthouses,
                 Instant now) {
    m_state->adopt(peers, lighthouses, now);
}

void Mesh::estimated(const PublicKey& key, Duration rtt, Instant now) {
    const Member* member = m_state->members->find(key);
    if (!member || member->relays() || key == m_state->self.key) return;
    Contact& contact = m_state->contact_of(*member);
    const bool is_first = !contact.estimated;
    contact.estimated = rtt;
    if (is_first) m_state->plan_soon(now);
}

std::vector<Outgoing> Mesh::step(Instant now) { return m_state->step(now); }
Instant Mesh::next_step() const { return m_state->next_step(); }
const WantedOverlay& Mesh::overlay() const { return m_state->overlay; }
std::uint64_t Mesh::overlay_revision() const { return m_state->overlay_revision; }

std::vector<PeerReport> Mesh::report(std::size_t others, Instant now) const {
    return m_state->report(others, now);
}

std::size_t Mesh::direct_links() const {
    std::size_t links = 0;
    for (const auto& [key, contact] : m_state->contacts)
        links += contact.tunnel && contact.tunnel->path.carries() ? 1 : 0;
    return links;
}

// --- what happens ---

static std::uint64_t draw(Random& random) {
    ByteArray<8> bytes{};
    random.fill(bytes);
    return ByteReader(bytes).u64();
}

static OrgPrefix prefix_of(const IpAddress& overlay_address) {
    if (overlay_address.is_v4()) return {};
    return OrgPrefix::from_bytes(overlay_address.bytes().first(6)).value_or(OrgPrefix{});
}

Mesh::State::State(Self whose, const Members& in_force, Random& dice, Instant now)
    : self(std::move(whose)),
      members(&in_force),
      random(&dice),
      prefix(prefix_of(self.address)),
      negotiation(draw(dice), limit()),
      plan_due(now),
      planned(now - plan_interval),
      explore_due(now + explore_interval),
      search_since(now) {}

void Mesh::State::observed(const Observation& observation, Instant now) {
    if (observation.underlay != underlay || observation.direct_port != direct_port) {
        underlay = observation.underlay;
        direct_port = observation.direct_port;
        own_stale = true;
        overlay_stale = true;  // whether a NAT is in between
    }
    wall = observation.wall;
    for (const PeerObservation& seen : observation.direct) {
        Contact* contact = find(seen.key);
        if (serves() && seen.handshake_age) contact = served(seen.key, now);
        if (!contact || !contact->tunnel) continue;
        Tunnel& tunnel = *contact->tunnel;
        if (tunnel.kernel != seen.endpoint) {
            tunnel.kernel = seen.endpoint;
            judge_lan(*contact, now);
        }
        if (tunnel.counted && seen.rx_bytes >= tunnel.rx_bytes &&
            seen.tx_bytes >= tunnel.tx_bytes) {
            const auto bytes = seen.rx_bytes - tunnel.rx_bytes + seen.tx_bytes - tunnel.tx_bytes;
            if (bytes > 0) contact->talked(bytes, now);
        }
        tunnel.counted = true;
        tunnel.rx_bytes = seen.rx_bytes;
        tunnel.tx_bytes = seen.tx_bytes;
        const PathState before = tunnel.path.state();
        tunnel.path.counted(seen.tx_bytes, seen.rx_bytes, now);
        if (before != tunnel.path.state()) path_changed(*contact, before, now);
        reschedule(*contact);
    }
    for (const PeerObservation& seen : observation.lighthouses) {
        RelayPath* relay = find_relay(seen.key);
        if (!relay) continue;
        relay->kernel = seen.endpoint;
        const PathState before = relay->path.state();
        relay->path.counted(seen.tx_bytes, seen.rx_bytes, now);
        relay_changed(*relay, before, now);
    }
    for (const Observation::Demand& demand : observation.demand) {
        const Member* member = members->find(demand.overlay_address);
        if (!member || member->relays() || member->key == self.key || serves()) continue;
        Contact& contact = contact_of(*member);
        const double before = contact.recent_demand.at(now);
        contact.talked(demand.bytes, now);
        if (before < demand_to_gain && contact.recent_demand.at(now) >= demand_to_gain)
            plan_soon(now);
    }
}

void Mesh::State::heard(const LanHint& hint, Instant now) {
    const Member* member = members->find(hint.key);
    if (!member || member->relays() || hint.key == self.key || serves()) return;
    if (!is_usable(hint.endpoint, prefix)) return;
    // Anybody on the link can send beacons in everybody's name: they may neither fill the table nor,
    // with one address after the other, keep a tunnel that works from its endpoint.
    Contact* known = find(hint.key);
    const bool is_known = known && known->beacons(now);
    const auto on_link = [now](const auto& it) { return it.second.beacons(now); };
    if (!is_known &&
        std::ranges::count_if(contacts, on_link) >= static_cast<std::ptrdiff_t>(lan_limit))
        return;
    if (is_known && known->lan == hint.endpoint) {
        known->lan_heard = now;
        return;
    }
    if (!heard_before(hint, now)) return;
    Contact& contact = contact_of(*member);
    if (!contact.lan) contact.lan_not_before = {};
    contact.lan = hint.endpoint;
    contact.lan_heard = now;
    plan_soon(now);
    if (contact.tunnel) schedule(contact, now);
}

// A stray or replayed beacon is heard once; one of somebody who is here goes on.
bool Mesh::State::heard_before(const LanHint& hint, Instant now) {
    std::erase_if(lan_hints, [&](const auto& it) { return now - it.second > hint_memory; });
    const auto same = [&](const auto& it) {
        return it.first.key == hint.key && it.first.endpoint == hint.endpoint;
    };
    if (std::erase_if(lan_hints, same) > 0) return true;
    if (lan_hints.size() >= lan_hints_limit) lan_hints.erase(lan_hints.begin());
    lan_hints.emplace_back(hint, now);
    return false;
}

void Mesh::State::received(const PublicKey& from, Via via, const LinkMessage& message,
                           Instant now) {
    const Member* member = members->find(from);
    if (!member || from == self.key) {
        if (message.verb == LinkVerb::Want)
            send(from, Via::Overlay,
                 {.verb = LinkVerb::Refuse,
                  .nonce = message.nonce,
                  .refusal = RefuseReason::NotMember,
                  .retry_after_s = 600});
        return;
    }
    if (serves() && via == Via::Direct && !member->relays()) served(from, now);
    if (Contact* contact = find(from)) {
        contact->heard = now;
        if (contact->held_for == HeldFor::Silent) is_back(*contact, now);
    }
    switch (message.verb) {
        case LinkVerb::Probe: received_probe(*member, via, message, now); break;
        case LinkVerb::Echo: received_echo(*member, via, message, now); break;
        case LinkVerb::Down: received_down(*member, now); break;
        case LinkVerb::Want: received_want(*member, message, now); break;
        case LinkVerb::MayLeave: received_may_leave(*member, message, now); break;
        case LinkVerb::Accept:
            if (!member->relays()) learn(contact_of(*member), message, now);
            negotiation.heard(from, message, {}, now);
            break;
        case LinkVerb::Refuse:
            if (Contact* contact = find(from)) {
                contact->refused = message.refusal;
                // One of the nearest is as good as another: no need to insist.
                if (contact->wish && contact->wish->why == Why::Near)
                    hold(*contact, HeldFor::Refused, refused_hold, refused_hold_limit, now);
            }
            negotiation.heard(from, message, {}, now);
            plan_soon(now);
            break;
        case LinkVerb::Leave:
        case LinkVerb::Keep: negotiation.heard(from, message, {}, now); break;
        case LinkVerb::Hello: break;
    }
    negotiation.step(from, now);
    take_outcome(now);
}

// It was silent, and is not: whatever did not answer meanwhile says nothing of where it is now.
void Mesh::State::is_back(Contact& contact, Instant now) {
    contact.held_for = HeldFor::Nothing;
    contact.not_before = now;
    contact.lan_not_before = {};
    contact.lan_hold = {};
}

void Mesh::State::moved(Instant now) {
    for (auto& [key, contact] : contacts) {
        contact.seen.reset();
        contact.lan.reset();  // it was on another link
        contact.lan_hold = {};
        contact.not_before = std::min(contact.not_before, now);
        contact.hold = {};
        if (!contact.tunnel) continue;
        set_on_lan(contact, false);
        contact.tunnel->before_lan.reset();
        contact.tunnel->path.moved(now);
        schedule(contact, now);
    }
    for (RelayPath& relay : relays) {
        relay.seen.reset();
        relay.path.moved(now);
        relay.verify_pause = relay_first_verify;
        relay.verify_due = std::min(relay.verify_due, now + relay.verify_pause);
    }
    negotiation.moved(now);
    own.nat = Nat::Unknown;
    doubt = 0;
    own_stale = overlay_stale = true;
    search(now);
    plan_soon(now);
}

void Mesh::State::adopt(const std::vector<WantedPeer>& peers,
                        const std::vector<PublicKey>& lighthouses, Instant now) {
    members_changed();
    sync_relays(now);
    // Those that the kernel does not have come last.
    std::ranges::stable_sort(relays, {}, [&](const RelayPath& relay) {
        return std::ranges::find(lighthouses, relay.key) - lighthouses.begin();
    });
    for (const WantedPeer& peer : peers) {
        const Member* member = members->find(peer.key);
        if (!member || member->relays() || peer.key == self.key) continue;
        Contact& contact = contact_of(*member);
        if (!serves()) negotiation.adopt(peer.key, now);
        open_tunnel(contact, peer.routed ? PathState::Alive : PathState::New, now);
        // What the kernel has works, or is found dead; nothing is forced on it before.
        contact.tunnel->endpoint.reset();
        contact.tunnel->kernel = peer.endpoint;
        contact.tunnel->worked = peer.routed;
        contact.tunnel->path.measure();
    }
    overlay_stale = true;
    refresh_overlay(now);
}

// --- what follows ---

// What has gone from the members goes from everything else.
void Mesh::State::members_changed() {
    for (auto at = contacts.begin(); at != contacts.end();) {
        Contact& contact = at->second;
        const Member* member = members->find(at->first);
        if (member && !member->relays()) {
            contact.address = member->address;
            ++at;
            continue;
        }
        negotiation.expelled(at->first);
        close_tunnel(contact);
        schedule(contact, Instant::max());
        at = contacts.erase(at);
    }
}

std::vector<Outgoing> Mesh::State::step(Instant now) {
    if (members_news || members->revision() != members_seen) {
        members_news = false;
        members_seen = members->revision();
        members_changed();
        sync_relays(now);
        plan_soon(now);
        overlay_stale = true;
    }
    refresh_own();
    while (!agenda.empty() && agenda.begin()->first <= now) {
        Contact& contact = contacts.at(agenda.begin()->second);
        step_tunnel(contact, now);
    }
    for (RelayPath& relay : relays) step_relay(relay, now);
    rank_relays(now);
    if (!serves()) {
        if (now >= plan_due) make_plan(now);
        if (now >= explore_due) explore(now);
        if (negotiation.next_step() <= now) negotiation.step(now);
    }
    take_outcome(now);
    refresh_overlay(now);
    return std::exchange(outbox, {});
}

Instant Mesh::State::next_step() const {
    if (!outbox.empty() || members_news || members->revision() != members_seen || overlay_stale)
        return Instant{};
    Instant next = agenda.empty() ? Instant::max() : agenda.begin()->first;
    for (const RelayPath& relay : relays)
        next = std::min({next, relay.path.next_step(), relay.verify_due});
    if (serves()) return next;
    return std::min({next, plan_due, explore_due, negotiation.next_step()});
}

}  // namespace fortros::mesh
