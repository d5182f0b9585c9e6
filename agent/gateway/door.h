// Who of those that have connected is let in to the TLS handshake, which is what costs: fairly by
// source, so that one address, or one office behind a NAT, neither starves the others nor is starved.
// It touches no socket.
//
//   enter ─▶ silent ─▶ knock ─▶ waiting ─▶ next ─▶ shaking ─▶ shaken ─▶ awaited ─▶ settle ─▶ inside
//                                                     └──── too long ──────┴─▶ late ─▶ settle ─▶ inside
//
// A connection that has not sent a whole first message costs a place and nothing else; of these the
// oldest of whoever has most must go when there is no room left. Only so many shake hands: when
// thousands do it at once, each takes so long that all of them have gone before it ends. Whoever is
// late, or goes without having asked for anything, has cost a handshake for nothing: his source owes
// for it, and comes after those that don't until it has made up for it or is forgiven.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "base/time.h"
#include "core/address.h"

namespace fortros::gateway {

// Whom an address stands for: itself, or in IPv6 the /64 that one customer has.
IpAddress source_of(const IpAddress& address);

struct DoorLimits {
    std::size_t places = 16384;             // for connections, in all
    std::size_t places_of_a_source = 4096;  // an office behind a NAT is one source
    // So many shake hands at once. Whoever keeps us waiting for longer than `quick` in the handshake,
    // or than `prompt` for his request, which comes with the handshake's end, is late: he goes on, and
    // doesn't count.
    std::size_t shaking = 128;
    Duration quick = 500ms;
    Duration prompt = 100ms;
    // Of so many turns one is for those that owe, when others wait, too.
    unsigned turns_for_one_that_owes = 8;
    std::uint32_t most_owed =
        64;                      // so that an office can make up for what one of its machines does
    Duration forgiveness = 60s;  // since it last came to owe something
    std::size_t remembered = 4096;  // sources that owe and have no connection
};

class Door {
public:
    using Id = std::uint64_t;
    explicit Door(const DoorLimits& limits) : m_limits(limits) {}

    // Gives it a place. Who must be closed for it has left: the newcomer itself when its source has
    // too many places already, or nobody is silent.
    std::optional<Id> enter(Id id, const IpAddress& from, Instant now);

    // Its first message is here: it waits for its turn, and leaves when that comes too late for it.
    void knock(Id id, Instant now);

    // Whose turn it is: the sources take turns, each with its oldest first. Nothing: nobody waits, or
    // enough shake hands.
    std::optional<Id> next(Instant now);
    // When next() has somebody at the latest, even if nobody is shaken, settles or leaves.
    std::optional<Instant> next_at(Instant now) const;

    // Its handshake is done: it makes room.
    void shaken(Id id, Instant now);

    // It has asked for something: that makes up for one that did not.
    void settle(Id id);

    // Wherever it is.
    void leave(Id id, Instant now);

    std::size_t size() const { return m_places.size(); }
    std::size_t waiting() const { return m_waiting; }
    // Those that count.
    std::size_t shaking() const { return m_shaking.size(); }

private:
    enum class State { Silent, Waiting, Shaking, Awaited, Late, Inside };
    using Line = std::list<IpAddress>;
    struct Source {
        std::size_t places = 0;
        std::list<Id> silent{};   // the oldest first
        std::list<Id> waiting{};  // the oldest first
        // Where it stands while somebody waits.
        Line* line = nullptr;
        Line::iterator turn{};
        std::uint32_t owed = 0;
        Instant owed_since{};
        Line::iterator absent{};  // in m_absent, while it has no place
    };
    using Sources = std::map<IpAddress, Source>;
    struct Place {
        Sources::iterator source;
        State state = State::Silent;
        std::list<Id>::iterator at{};  // in the list of its state, if that has one
        Instant since{};               // when it began to shake hands, or was awaited
    };
    void take_out(Place& place);
    void set_silent(Sources::iterator source, std::size_t before);
    Line& line_of(const Source& source) { return source.owed > 0 ? m_owing_turns : m_turns; }
    Line& line_whose_turn_it_is();
    void note_late(std::list<Id>& list, Duration limit, Instant now);
    void blame(Source& source, Instant now);
    void set_owed(Source& source, std::uint32_t owed);
    void see_off(Sources::iterator source, Instant now);
    bool is_forgiven(const Source& source, Instant now) const {
        return source.owed == 0 || now - source.owed_since >= m_limits.forgiveness;
    }

    DoorLimits m_limits;
    std::unordered_map<Id, Place> m_places{};
    Sources m_sources{};
    std::set<std::pair<std::size_t, IpAddress>> m_by_silent{};  // how many silent ones, whose
    Line m_turns{};                                             // sources in which somebody waits
    Line m_owing_turns{};                                       // and that owe
    unsigned m_turns_of_others = 0;                             // since one of those
    Line m_absent{};            // sources that owe and have no place, the longest gone first
    std::list<Id> m_shaking{};  // the oldest first
    std::list<Id> m_awaited{};  // the oldest first
    std::size_t m_waiting = 0;
};

}  // namespace fortros::gateway
