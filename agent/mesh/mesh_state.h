// What a Mesh is made of: who is known, the agreements, the tunnels, and the plan over all. Private to
// mesh*.cc; mesh.h is the door.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "mesh/contact.h"
#include "mesh/endpoints.h"
#include "mesh/key_map.h"
#include "mesh/mesh.h"
#include "mesh/plan.h"

namespace fortros::mesh {

// Nodes remembered beside those with an agreement; the least useful is forgotten first.
inline constexpr std::size_t contacts_limit = 48;
inline constexpr std::size_t contacts_limit_lonely = 1024;
// Wants in one round, and how soon the next round comes while there are more.
inline constexpr std::size_t asks_a_round = 4;
inline constexpr Duration round_interval = 250ms;
// A plan is made anew after news, at most so often, and without news so seldom.
inline constexpr Duration plan_interval = 1s;
inline constexpr Duration plan_interval_settled = 1min;
// Wants that were not answered so often make the next one in the order a substitute.
inline constexpr unsigned patient_attempts = 3;
// A link that is no longer wished for is let go after so long.
inline constexpr Duration spare_patience = 2min;
// One endpoint of several is tried for so long; the kernel repeats a handshake after 5 s.
inline constexpr Duration try_time = 6s;
// A tunnel that never worked is given up after two rounds of tries, but not before.
inline constexpr Duration no_way_patience = 25s;
inline constexpr Duration no_way_hold = 5min;
inline constexpr Duration no_way_hold_limit = 6h;
// A tunnel that worked: without a sign of the other on any way, and with one.
// A path that worked and has died may come back at once, as one that only loss had killed does: before
// a substitute is asked, and somebody else's place is taken for two minutes.
inline constexpr Duration lapse_patience = 15s;
inline constexpr Duration silent_patience = 2min;
inline constexpr Duration dead_patience = 10min;
inline constexpr Duration silent_hold = 1min;
inline constexpr Duration silent_hold_limit = 10min;
// What an estimate is believed: it counts as longer by what estimates have missed of late by, in the
// mean, a new miss with this weight. It neither grows nor fades with time, so that a search for nearer
// peers that finds none ends.
inline constexpr double doubt_share = 0.25;
inline constexpr double doubt_points_limit = 60;
// The search for nearer peers has a cause (a start, a move, a link or all lighthouses lost) and goes on for
// so long; then somebody new must be nearer than who is linked by more and more points.
inline constexpr Duration search_time = 6min;
inline constexpr Duration search_cooling = 5min;
// After a refusal by one of the nearest.
inline constexpr Duration refused_hold = 10min;
inline constexpr Duration refused_hold_limit = 2h;
// After a link was let go because the other needed the place.
inline constexpr Duration yield_hold = 30min;
// Whoever has more links than this lets one of the nearest go to make room there.
inline constexpr std::size_t yield_links = 8;
// RTT that a LAN does not exceed, how long an endpoint of it is tried, and when again.
inline constexpr Duration lan_rtt = 5ms;
inline constexpr Duration lan_try_time = 3s;
inline constexpr Duration lan_hold = 10min;  // doubled each time that it is not so after all
// A beacon counts when it is heard again within this time (beacon_interval is 5 min), and so many that
// were heard once are remembered.
inline constexpr Duration hint_memory = 6min;
inline constexpr std::size_t lan_hints_limit = 256;
inline constexpr Duration lan_hold_limit = 12h;
// Room is made for a lonely node at most so often, by one that rests less often, and for the same one after so long:
// whoever says that it is lonely may lie, and never be content.
inline constexpr Duration make_room_interval = 30s;
inline constexpr Duration rested_room_interval = 1h;
inline constexpr Duration same_room_interval = 6h;
// The next link in turn is measured, and asked for introductions, after so long: soon while the
// answers change the plan, each link once in ten minutes when they no longer do.
inline constexpr Duration explore_interval = 2s;
inline constexpr Duration explore_round_limit = 10min;
// A peer that sleeps measures the link itself within a round; where it does not, it may be gone.
inline constexpr Duration sleep_limit = 3 * explore_round_limit / 2;
// The same of lighthouses.
inline constexpr Duration relay_verify_interval = 5min;
inline constexpr Duration relay_dead_interval = 30s;
// Several times in its first minute, for what was measured while everybody began is worth little: after
// this, and then after twice as long each time.
inline constexpr Duration relay_first_verify = 2s;
// One that has just come, or come back, is no way to others before they have found it, too.
inline constexpr Duration relay_settle_time = relay_dead_interval + 15s;
inline constexpr std::size_t relays_limit = 16;
// By so much and a quarter an RTT must be better for another lighthouse to be preferred.
inline constexpr Duration rank_gain = 2ms;
inline constexpr std::uint16_t nat_keepalive_s = 25;
// Datagrams that wait for the next step.
inline constexpr std::size_t outbox_limit = 1024;

struct Mesh::State {
    State(Self whose, const Members& in_force, Random& dice, Instant now);

    // --- mesh.cc: what happens ---
    void members_changed();
    void observed(const Observation& observation, Instant now);
    void heard(const LanHint& hint, Instant now);
    bool heard_before(const LanHint& hint, Instant now);
    void received(const PublicKey& from, Via via, const LinkMessage& message, Instant now);
    void is_back(Contact& contact, Instant now);
    void moved(Instant now);
    void adopt(const std::vector<WantedPeer>& peers, const std::vector<PublicKey>& lighthouses,
               Instant now);
    std::vector<Outgoing> step(Instant now);
    Instant next_step() const;

    // --- mesh_messages.cc ---
    void received_probe(const Member& from, Via via, const LinkMessage& message, Instant now);
    void received_echo(const Member& from, Via via, const LinkMessage& message, Instant now);
    void received_down(const Member& from, Instant now);
    void received_want(const Member& from, const LinkMessage& message, Instant now);
    void received_may_leave(const Member& from, const LinkMessage& message, Instant now);
    std::optional<Endpoint> sight_of(const Contact& contact) const;
    void learn(Contact& contact, const LinkMessage& message, Instant now);
    void introduced(const std::vector<Introduction>& introductions, Instant now);
    std::vector<Introduction> introductions_for(const PublicKey& key, Instant now) const;
    Welcome welcome_of(const Member& from, Instant now) const;
    Standing standing() const;
    void send(const PublicKey& to, Via via, LinkMessage message);
    void found_no_way(Contact& contact, Instant now);
    void take_outcome(Instant now);

    // --- mesh_plan.cc ---
    void make_plan(Instant now);
    std::vector<Candidate> candidates(Instant now) const;
    Candidate candidate(const Contact& contact, Instant now) const;
    std::optional<Duration> estimate(const Contact& contact) const;
    void measured(Contact& contact, Duration rtt);
    bool can_meet(const Contact& contact, Instant now) const;
    bool may_be_asked(const Contact& contact, Instant now) const;
    Budget budget() const;
    void follow(const Plan& plan, Instant now);
    void spare(Contact& contact, Instant now);
    void need_room_for(Contact& asker, Instant now);
    void make_room(Instant now);
    void forget_some(Instant now);
    void explore(Instant now);
    bool sleeps() const;
    bool rests(const Contact& contact, Instant now) const;
    void search(Instant now);
    double reluctance(Instant now) const;
    std::size_t limit() const;
    bool is_lonely() const;

    // --- mesh_tunnels.cc ---
    void open_tunnel(Contact& contact, PathState state, Instant now);
    void close_tunnel(Contact& contact);
    void step_tunnel(Contact& contact, Instant now);
    void path_changed(Contact& contact, PathState before, Instant now);
    void try_next(Contact& contact, Instant now);
    std::vector<Endpoint> tries_of(const Contact& contact, Instant now) const;
    void find_tries(Contact& contact, Instant now);
    void try_news(Contact& contact, Instant now);
    void give_up(Contact& contact, Instant now);
    void hold(Contact& contact, HeldFor what, Duration first, Duration limit, Instant now);
    void set_on_lan(Contact& contact, bool on_lan);
    void refute_lan(Contact& contact, Instant now);
    void judge_lan(Contact& contact, Instant now);
    void try_lan(Contact& contact, Instant now);
    void end_lan_try(Contact& contact, Instant now);
    void schedule(Contact& contact, Instant when);
    void reschedule(Contact& contact);

    // --- mesh_relays.cc ---
    void sync_relays(Instant now);
    Contact* served(const PublicKey& key, Instant now);
    void step_relay(RelayPath& relay, Instant now);
    void relay_changed(RelayPath& relay, PathState before, Instant now);
    void rank_relays(Instant now);
    Duration next_pause(RelayPath& relay);
    RelayPath* find_relay(const PublicKey& key);

    // --- mesh_overlay.cc ---
    bool seems_symmetric() const;
    void refresh_own();
    void refresh_overlay(Instant now);
    void peer_stale(const Contact& contact);
    WantedPeer wanted(const Contact& contact, Instant now) const;
    WantedPeer wanted(const Member& member, Instant now) const;
    WantedLighthouse wanted(const RelayPath& relay, unsigned rank) const;
    bool behind_nat(const std::optional<Endpoint>& seen) const;
    bool behind_nat(const Contact& contact) const;
    PeerReport report_of(const Contact& contact, Instant now) const;
    std::vector<PeerReport> report(std::size_t others, Instant now) const;

    Contact* find(const PublicKey& key) {
        const auto at = contacts.find(key);
        return at == contacts.end() ? nullptr : &at->second;
    }
    Contact& contact_of(const Member& member) {
        return contacts.try_emplace(member.key, member.key, member.address).first->second;
    }
    bool serves() const { return self.role != Role::Node; }
    void plan_soon(Instant now) {
        plan_due = std::min(plan_due, std::max(now, planned + plan_interval));
    }

    Self self;
    const Members* members;
    Random* random;
    OrgPrefix prefix{};
    Negotiation negotiation;

    KeyMap<Contact> contacts{};
    std::set<std::pair<Instant, PublicKey>> agenda{};      // tunnels that have something to do
    std::vector<std::pair<LanHint, Instant>> lan_hints{};  // heard once, the oldest first
    std::vector<RelayPath> relays{};                       // by rank
    std::uint64_t members_seen = 0;  // the revision that relays and contacts follow
    bool members_news = true;

    std::vector<IpAddress> underlay{};
    std::uint16_t direct_port = 0;
    std::optional<WallTime> wall{};
    Whereabouts own{};
    bool own_stale = true;
    Coordinate place{};

    Instant plan_due;
    Instant planned;
    Instant explore_due;
    Duration explore_pause = explore_interval;
    PublicKey explored{};  // the last one
    double doubt = 0;      // of estimates, in points
    Instant search_since;  // for nearer peers
    Instant room_made{};
    bool room_needed = false;

    std::vector<Outgoing> outbox{};
    WantedOverlay overlay{};
    bool overlay_stale = true;
    std::uint64_t overlay_revision = 1;
};

}  // namespace fortros::mesh
