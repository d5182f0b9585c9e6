// One node's side of all its agreements: who is a peer by both ends' word. A state machine a peer and
// one rule over all: a node that has few links lets none go. It measures nothing and wishes nothing.
//
//            wish                accept, or the other's want
//   None ─────────▶ Wanting ───────────────────────────────▶ Linked
//     ▲   refuse,      │                                      │  ▲
//     │   no answer    │                              no wish │  │ keep, or a wish again
//     ◀────────────────┘                                      ▼  │
//     ◀──────────────────────────── leave ────────────── Leaving
//   (and from Linked, when the other leaves with our permission, or is dead to every probe)
//
// Datagrams are lost, late, in any order and twice, so nothing is believed but an answer that repeats
// a nonce of one's own:
//
//   A ── want n ─────────▶ B     B: Linked, not yet confirmed
//   A ◀─ accept n, m ───── B     A: Linked, confirmed; B says it again until it is answered
//   A ── probe m, linked ▶ B     B: confirmed.  (Or leave m: not here. Then B takes it down.)
//
// Nonces count up, so that a request which comes after a newer one is known to be out of date; a
// request that comes twice is answered twice, and not otherwise than before.
// Whatever sounds as if the other had no link here (its leave, refuse, probe or want at the wrong
// time) takes the confirmation away, and so does each hour: "accept m" asks again. That is how two
// ends agree in the end, whatever was lost. Links that are not confirmed do not count as links.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "core/key.h"
#include "mesh/key_map.h"
#include "mesh/link_message.h"

namespace fortros::mesh {

// Whoever would keep no more links than this lets none go, and asks for none to end.
inline constexpr std::size_t lifeline_links = 2;
// Whoever has no more than this is taken in even where only the places for such are left.
inline constexpr std::size_t lonely_links = lifeline_links;

// A request is said so often, 1, 2, 4 ... s apart, and then given up for a while.
inline constexpr unsigned request_attempts = 6;
inline constexpr Duration request_retry = 1s;
// After a request that nobody answered, doubled with each in a row up to the limit.
inline constexpr Duration unanswered_hold = 1min;
inline constexpr Duration unanswered_hold_limit = 10min;
// After "keep".
inline constexpr Duration keep_hold = 10min;
// Before a link that was only just agreed may be left: the other may have measured nothing yet.
inline constexpr Duration young_hold = 2min;
// After a link has ended by agreement, before it is wanted again; and after it was found to be one
// end's only.
inline constexpr Duration ended_hold = 10min;
inline constexpr Duration lost_hold = 5s;
// What a refusal without room asks the other to wait.
inline constexpr Duration refuse_retry = 5min;
// A confirmed link is asked about again after so long.
inline constexpr Duration audit_interval = 1h;
// Peers remembered at all; wants of others are refused beyond, one's own wishes wait.
inline constexpr std::size_t agreements_limit = 2048;

enum class LinkState : std::uint8_t { None, Wanting, Linked, Leaving };
std::string_view name_of(LinkState state);

// What one end knows of one agreement. The kernel has the peer in Linked and Leaving.
struct Agreement {
    LinkState state = LinkState::None;
    bool wished = false;      // by this node's plan
    bool works = false;       // its path carries packets
    bool confirmed = false;   // Linked: the other was seen to hold it, too
    bool needs_place = true;  // to be asked: LAN neighbours need none
    bool on_link = false;     // found to be a LAN neighbour: takes none
    bool invited = false;     // it was the other who wanted it first
    std::uint64_t nonce = 0;  // of the want, accept or may-leave that waits for its answer; 0: none
    std::uint64_t answers = 0;  // Linked: the nonce of the want that the accept answers
    std::uint64_t heard =
        0;                  // the newest request of the other's that was heard: older ones are late
    unsigned attempts = 0;  // of that request so far
    unsigned failures = 0;  // requests in a row that nobody answered
    Instant due{};  // to say it again; where nothing waits for an answer: to ask whether it holds
    Instant not_before{};  // None: to want; Linked: to ask to leave

    bool linked() const { return state == LinkState::Linked || state == LinkState::Leaving; }
    // One that a lifeline may hang on.
    bool firm() const { return state == LinkState::Linked && confirmed && works; }
    bool operator==(const Agreement&) const = default;
};

// What the negotiation can't know of somebody who asks: the caller's to say.
struct Welcome {
    // Of Want, where this node has not asked for the link itself.
    bool member = false;          // the attestation checks
    bool willing = true;          // not metered, not about to go
    bool reachable = true;        // NATs leave a way, as far as known
    std::size_t room = 0;         // places for anybody
    std::size_t lonely_room = 0;  // and for those who have few links, or are wished for
    // Of MayLeave: not even if the lifeline would allow it.
    bool keep = false;
};

class Negotiation {
public:
    // `seed` is random, another one at each start: nonces count up from it. `places`: whom this node wishes for
    // is asked as long as fewer are taken.
    explicit Negotiation(std::uint64_t seed, std::size_t places = SIZE_MAX);

    // --- what happens ---
    // The plan wishes for a link, or no longer does. Idempotent; step() does what follows.
    void wish(const PublicKey& peer, bool wished, Instant now, bool needs_place = true);
    // Whether the peer's path carries packets.
    void works(const PublicKey& peer, bool works);
    // Whether the peer was found to be a neighbour on a link.
    void on_link(const PublicKey& peer, bool on_link);
    // An authentic message. `welcome` matters to Want and MayLeave alone.
    void heard(const PublicKey& from, const LinkMessage& message, const Welcome& welcome,
               Instant now);
    // Dead to every probe, on every way: the link ends without permission.
    void dead(const PublicKey& peer, Instant now);
    // No member any more: the link ends without a word, the peer is forgotten.
    void expelled(const PublicKey& peer);
    // The kernel has this peer already, by an agreement of an earlier life. `wished` until told otherwise.
    void adopt(const PublicKey& peer, Instant now);
    // The underlay is another: what nobody answered may be asked again.
    void moved(Instant now);

    // --- what follows ---
    void step(Instant now);
    // The same for one peer.
    void step(const PublicKey& peer, Instant now);
    // When step() has something to do although nothing happens; Instant::max() for never.
    Instant next_step() const { return sums().next; }

    struct Said {
        PublicKey to;
        // Of Want and Accept the caller fills in standing, attestation and `seen`.
        LinkMessage message;
        bool operator==(const Said&) const = default;
    };
    struct Change {
        PublicKey peer;
        bool up = false;  // or down. A link that is taken down is off the routes first
        bool operator==(const Change&) const = default;
    };
    struct Outcome {
        std::vector<Said> said{};
        std::vector<Change> changes{};
        bool operator==(const Outcome&) const = default;
    };
    // What has come up since the last time, in its order.
    Outcome take();

    // Absent: None, and nothing to remember.
    const Agreement* find(const PublicKey& peer) const;
    LinkState state(const PublicKey& peer) const;
    // What to write into Probe and Echo.
    bool linked(const PublicKey& peer) const;
    // By key.
    const KeyMap<Agreement>& all() const { return m_agreements; }
    // That a lifeline may hang on.
    std::size_t firm_links() const { return sums().firm; }
    // Agreed or asked for, neighbours on a link not counted.
    std::size_t places_taken() const { return sums().taken; }
    std::size_t places_free() const { return m_places - std::min(m_places, places_taken()); }
    // Whether this link may end by this node's word.
    bool may_end(const PublicKey& peer) const;

    bool operator==(const Negotiation&) const = default;

private:
    // To read; what changes goes through change(), so that nothing remembered outlives it.
    using Entry = KeyMap<Agreement>::const_iterator;
    Agreement& change(Entry entry);
    Entry add(const PublicKey& peer);
    void remove(Entry entry);

    void heard_want(const PublicKey& from, const LinkMessage& want, const Welcome& welcome,
                    Instant now);
    void heard_accept(const PublicKey& from, const LinkMessage& accept, Instant now);
    void heard_refuse(const PublicKey& from, const LinkMessage& refuse, Instant now);
    void heard_may_leave(const PublicKey& from, const LinkMessage& ask, const Welcome& welcome,
                         Instant now);
    void heard_leave(const PublicKey& from, const LinkMessage& leave, Instant now);
    void heard_keep(const PublicKey& from, const LinkMessage& keep, Instant now);
    void heard_probe(const PublicKey& from, const LinkMessage& probe, Instant now);
    void step(Entry entry, Instant now);
    void step_none(Entry entry, Instant now);
    void step_wanting(Entry entry, Instant now);
    void step_linked(Entry entry, Instant now);
    void step_leaving(Entry entry, Instant now);

    // What all agreements come to. It is asked for far more often than anything changes.
    struct Sums {
        std::size_t firm = 0;
        std::size_t taken = 0;
        Instant next = Instant::max();
    };
    const Sums& sums() const;
    Sums add_up() const;
    // A value that follows from the rest, and has no part in comparisons.
    struct Remembered {
        std::optional<Sums> sums{};
        bool operator==(const Remembered&) const { return true; }
    };

    bool may_end(const Agreement& agreement, std::size_t firm) const {
        return firm - (agreement.firm() ? 1 : 0) > lifeline_links;
    }
    bool is_late(Entry entry, std::uint64_t request) const;
    std::uint64_t fresh_nonce();
    void say(const PublicKey& to, LinkMessage message);
    void ask(Entry entry, Instant now);
    void repeat(Entry entry, Instant now);
    void verify(Entry entry, Instant now);
    void doubt(Entry entry, Instant now);
    void settle(Entry entry, Instant now);
    void link(Entry entry, Instant now);
    void end(Entry entry, Duration hold, Instant now);
    void fail_request(Entry entry, Instant now);
    Duration up_to(Duration most);
    Duration jittered(Duration duration);

    bool may_ask(const Agreement& agreement) const {
        return !agreement.needs_place || places_free() > 0;
    }

    std::uint64_t m_next_nonce = 0;
    std::size_t m_places = SIZE_MAX;
    KeyMap<Agreement> m_agreements{};
    Outcome m_outcome{};
    mutable Remembered m_remembered{};
};

}  // namespace fortros::mesh
