// Whom a node wishes for, and why: its neighbours on the link, those it talks with, the nearest, and
// some that follow from keys alone (the fallback), so that the whole stays one piece; and everybody in an
// org that has no more nodes than places. Pure; what is wished for is then asked for (negotiation.h), and
// may be refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/time.h"
#include "core/key.h"
#include "mesh/key_map.h"
#include "mesh/members.h"
#include "mesh/negotiation.h"
#include "mesh/score.h"

namespace fortros::mesh {

// Traffic that makes a direct link, and what keeps it: bytes, decayed (contact.h). What makes one is forgotten soon, so
// that traffic which goes on and on has made its link in the time that a node searches, or never does.
inline constexpr double demand_to_gain = 256 * 1024;
inline constexpr double demand_to_keep = 64 * 1024;
// So many places there are for the nearest whatever the traffic.
inline constexpr std::size_t near_minimum = 2;
// Near is who is nearer than this, or than half of what most of the fallback's (who are anybody)
// are: a place is better left to somebody who is than given to one more of the far.
inline constexpr Duration near_always = 10ms;
// How far down an order a substitute for a neighbour that does not answer is looked for, and how far
// by a node that has hardly any link.
inline constexpr std::size_t fallback_depth = 8;
inline constexpr std::size_t fallback_depth_lonely = 64;

// Of all places so many are for whom this node wishes for, or who has few links.
inline constexpr std::size_t reserved_places = 2;
// Points by which somebody new must be nearer than who is wished for: the most, with which nobody new is near enough.
inline constexpr double reluctance_limit = 40;

struct Budget {
    std::size_t target = 14;  // of scored peers
    std::size_t limit = 20;   // with those that ask
    std::size_t lan = 256;
    std::size_t sorts = fallback_sorts;  // both neighbours in each
    bool lonely = false;
    // Points by which somebody new must be nearer than who is wished for already; 0: this node does not rest.
    double reluctance = 0;
};

// Somebody of whom more is known than that he is a member.
struct Candidate {
    PublicKey key;
    Merits merits{};
    bool willing = true;  // may be asked: a member in force, and nothing says to wait
    bool held = false;    // nor is it any use: it was tried of late, or NATs leave no way
    bool wished = false;  // by the plan before
    bool works = false;   // linked, and its path carries packets, or may still begin to
    bool lan = false;     // on the same link, by its beacon or because it was reached there
};

enum class Why : std::uint8_t { Lan, Fallback, Everybody, Demand, Near, Lifeline, Kept };
// Whether a link for this may go where somebody needs its place.
constexpr bool is_weak(Why why) { return why == Why::Near || why == Why::Kept; }

struct Wish {
    PublicKey key;
    Why why = Why::Near;
    std::uint8_t order = 0;  // Fallback: in which
    std::uint8_t depth = 0;  // Fallback: the how many-th neighbour, from 0
    double score = 0;

    // "on this link", "fallback order 2", "fallback order 2, as nearer ones do not answer", ...
    std::string in_words() const;
};

struct Plan {
    std::vector<Wish> wishes{};  // by key, without repetition; the first reason counts
    std::vector<PublicKey>
        waiting{};  // fallback neighbours that can't be had, and are worth asking again
};

// `candidates` by key. `wall`: members that are expired then are not wished for; absent: not known.
Plan plan(const PublicKey& self, const Members& members, std::span<const Candidate> candidates,
          const Budget& budget, std::optional<WallTime> wall);

// What to do to come from the agreements that there are to those wished for: a bounded number of
// new ones a round; links that are not wished for are for the caller to let go (it knows since when).
struct Difference {
    std::vector<PublicKey> ask{};     // at most `limit`, and of those that need a place `places`
    std::vector<PublicKey> forget{};  // to be asked some time, and no longer worth it
    std::vector<PublicKey> spare{};   // agreed, and no longer wished
    bool more = false;                // there would have been more to ask
};
Difference difference(const Plan& plan, const KeyMap<Agreement>& have, std::size_t limit,
                      std::size_t places);

}  // namespace fortros::mesh
