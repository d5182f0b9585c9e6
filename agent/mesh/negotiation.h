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
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "core/key.h"
#include "mesh/link_message.h"

namespace fortros::mesh {

// Whoever has no more links than this lets none of them go.
inline constexpr std::size_t lifeline_links = 2;

enum class LinkState : std::uint8_t { None, Wanting, Linked, Leaving };
std::string_view name_of(LinkState state);

// (The class Negotiation and its events and actions are its author's; it must be copyable and
// comparable, so that a test can walk every interleaving of a small world.)

}  // namespace fortros::mesh
