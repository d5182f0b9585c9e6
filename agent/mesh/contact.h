// Another node as this one knows it: what it said of itself, what was measured, the tunnel to it
// while there is an agreement, and what holds this node back from asking it. A record; mesh_state.h
// says what happens to it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/time.h"
#include "core/address.h"
#include "core/key.h"
#include "mesh/link_message.h"
#include "mesh/path.h"
#include "mesh/plan.h"
#include "mesh/score.h"

namespace fortros::mesh {

inline constexpr Duration failures_half_life = 6h;
inline constexpr Duration demand_half_life = 10min;
inline constexpr Duration recent_half_life = demand_half_life / 4;
// Three beacons (beacon_interval) in a row may be lost.
inline constexpr Duration beacon_memory = 16min;

// A peer on the direct interface.
struct Tunnel {
    PathWatch path;
    Instant since;                  // when it was opened
    std::vector<Endpoint> tries{};  // what is left to try, round after round, while nothing answers
    std::size_t trying = 0;
    std::optional<Instant> try_until{};
    std::optional<Endpoint> endpoint{};  // what the kernel shall use; absent: what it has
    std::optional<Endpoint> kernel{};    // what it uses, as far as observed
    std::uint64_t rx_bytes = 0, tx_bytes = 0;
    bool counted = false;
    bool worked = false;                   // once, at least
    bool on_lan = false;                   // answered on the link's address with the link's latency
    std::optional<Endpoint> before_lan{};  // where it worked before the link's address was tried
};

// What keeps a node from asking another one.
enum class HeldFor : std::uint8_t { Nothing, NoWay, Silent, Refused, Yielded };

struct Contact {
    explicit Contact(const PublicKey& whose, const IpAddress& where) : key(whose), address(where) {}

    PublicKey key;
    IpAddress address;
    std::optional<Standing> standing{};   // what it last said of itself
    std::optional<Endpoint> seen{};       // where its kernel sees this node's direct interface
    std::optional<Instant> heard{};       // the last authentic message, whatever the way
    std::optional<Duration> measured{};   // over a tunnel
    std::optional<Duration> estimated{};  // by an engine
    std::optional<Duration> expected{};   // the estimate on which it was asked
    Coordinate place{};                   // by others' introduction, until it says so itself
    Decaying demand{demand_half_life};
    Decaying recent_demand{recent_half_life};
    Decaying failures{failures_half_life};

    Instant not_before{};  // back-off of this node's own making
    Duration hold{};       // the last one
    HeldFor held_for = HeldFor::Nothing;
    std::optional<RefuseReason> refused{};
    Instant room_not_before{};  // to have somebody else go, so that this one has a place

    std::optional<Endpoint> lan{};  // by its beacon
    Instant lan_heard{};            // the last one
    Instant lan_not_before{};
    Duration lan_hold{};  // the last one

    bool beacons(Instant now) const { return lan && now - lan_heard <= beacon_memory; }
    // By a beacon that nothing has refuted of late.
    bool maybe_on_link(Instant now) const { return beacons(now) && lan_not_before <= now; }

    std::optional<Wish> wish{};
    std::optional<Instant> spare_since{};  // linked, and not wished for since
    Instant released_until{};              // may go, so that somebody else has room
    std::unique_ptr<Tunnel> tunnel{};
    Instant due = Instant::max();  // of its tunnel, in the agenda

    void talked(std::uint64_t bytes, Instant now) {
        demand.add(static_cast<double>(bytes), now);
        recent_demand.add(static_cast<double>(bytes), now);
    }

    Coordinate where() const { return standing ? standing->place : place; }
};

// A lighthouse or gateway.
struct RelayPath {
    PublicKey key;
    IpAddress address;
    std::vector<Endpoint> endpoints{};
    PathWatch path;
    std::optional<Endpoint> seen{};    // where it sees this node
    std::optional<Endpoint> kernel{};  // where the kernel sends to
    std::optional<Endpoint> endpoint{};
    std::size_t trying = 0;
    Instant try_until;
    Instant verify_due;
    Duration verify_pause;                 // between the last two
    std::optional<Instant> works_since{};  // absent: not since it was last dead
};

}  // namespace fortros::mesh
