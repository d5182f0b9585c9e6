// Who of those that have connected is let in to the TLS handshake, which is what costs: fairly by
// source, so that one address, or one office behind a NAT, neither starves the others nor is starved.
// It touches no socket.
//
//   enter ─▶ silent ─▶ knock ─▶ waiting ─▶ next ─▶ begun ─▶ settle ─▶ inside ─▶ leave
//
// A connection that has sent nothing costs a place and nothing else; of these the oldest of whoever
// has most must go when there is no room left. Of those that have begun there are only so many: when
// thousands shake hands at once, each takes so long that all of them have gone before it ends.
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
    // Of those that have begun so many at once; whoever is silent for longer than `quick` counts among
    // the late ones only, of which there may be more. In the end nobody keeps others out who is far
    // away, slow, or wants just that.
    std::size_t begun = 128;
    Duration quick = 500ms;
    std::size_t late = 512;
    Duration lateness = 2s;
};

class Door {
public:
    using Id = std::uint64_t;
    explicit Door(const DoorLimits& limits) : m_limits(limits) {}

    // Gives it a place. Who must be closed for it has left: the newcomer itself when its source has
    // too many places already, or nobody is silent.
    std::optional<Id> enter(Id id, const IpAddress& from);

    // It has sent something: it waits for its turn, and leaves when that comes too late for it.
    void knock(Id id);

    // Whose turn it is: the sources take turns, each with its oldest first. Nothing: nobody waits, or
    // enough have begun.
    std::optional<Id> next(Instant now);
    // When next() has somebody at the latest, even if nobody settles or leaves.
    std::optional<Instant> next_at(Instant now) const;

    // It has asked for something: whoever has begun no longer counts.
    void settle(Id id);

    // Wherever it is.
    void leave(Id id);

    std::size_t size() const { return m_places.size(); }
    std::size_t waiting() const { return m_waiting; }
    // Those that count.
    std::size_t begun() const { return m_begun.size() + m_late.size(); }

private:
    enum class State { Silent, Waiting, Begun, Late, Inside };
    struct Source {
        std::size_t places = 0;
        std::list<Id> silent{};                 // the oldest first
        std::list<Id> waiting{};                // the oldest first
        std::list<IpAddress>::iterator turn{};  // while somebody waits
    };
    using Sources = std::map<IpAddress, Source>;
    struct Place {
        Sources::iterator source;
        State state = State::Silent;
        std::list<Id>::iterator at{};  // in the list of its state, unless inside
        Instant begun{};
    };
    void take_out(Place& place);
    Instant begun_at(const std::list<Id>& list) const { return m_places.at(list.front()).begun; }
    void make_late(Id id);
    void set_silent(Sources::iterator source, std::size_t before);

    DoorLimits m_limits;
    std::unordered_map<Id, Place> m_places{};
    Sources m_sources{};
    std::set<std::pair<std::size_t, IpAddress>> m_by_silent{};  // how many silent ones, whose
    std::list<IpAddress> m_turns{};                             // sources in which somebody waits
    std::list<Id> m_begun{};                                    // the oldest first
    std::list<Id> m_late{};                                     // the oldest first, all older
    std::size_t m_waiting = 0;
};

}  // namespace fortros::gateway
