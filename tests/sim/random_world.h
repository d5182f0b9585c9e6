// A world for discovery, made from a seed: links, resolvers, hosts, what the node remembers and
// what its image allows. The same seed gives the same world, for ever.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fakes/boot_world.h"
#include "sim/remembered_set.h"

namespace fortros::sim {

// What a node brings along from the boots before this one.
enum class Past {
    None,          // no key, no state
    NoneNoInvite,  // and no invite either
    Begun,         // an enrolment that nobody has answered yet
    BegunTwice,    // a key, and the promise of another that was never stored
    Enrolled,
    EnrolledNoMemory,  // the state is not kept by policy (StateStore=ephemeral)
    StateMissing,      // a key whose state is gone
    StateCorrupt,      // a key whose state does not read
    StateOfAnother,    // a key beside the state of another node
    KeyLost,           // a state without its key
};

std::string_view name_of(Past past);

struct RandomWorld {
    // `signer` is the org's: making one takes longer than a boot.
    RandomWorld(std::uint64_t seed, const fakes::FakeSigner& signer);

    // What is in it, a line each; for people.
    std::string text() const;

    fakes::BootWorld boot_world;
    Past past = Past::None;
    bool has_invite = true;
    RememberedSet set = RememberedSet::None;
    std::vector<MeshPeer>
        members;  // gateways and lighthouses of the org: whom a node may peer with
};

}  // namespace fortros::sim
