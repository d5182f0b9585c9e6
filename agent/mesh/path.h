// Whether a tunnel carries packets, told by what goes in and comes out, and by probes where that is
// not enough. One watch a tunnel. WireGuard's own signals take minutes; this takes seconds, and an idle
// tunnel costs nothing.
//
//   0 s      a packet is sent, nothing comes back
//   2 s      Suspect: a probe each second, bound to the interface
//   5 s      (after the first unanswered packet) Dead: no route leads here, the other end is told
//            probes go on, backing off to ten minutes, for as long as the link is wanted
//   +3       answered probes with one's own nonces: Alive
//
// Receive counters clear a suspicion; they never revive the dead.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"

namespace fortros::mesh {

enum class PathState : std::uint8_t { New, Alive, Suspect, Dead };
std::string_view name_of(PathState state);

// (The class PathWatch is its author's: counters and echoes in; state, probes due and RTT out.)

}  // namespace fortros::mesh
