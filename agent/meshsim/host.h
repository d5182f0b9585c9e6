// One node's maintainer in a simulation: its Mesh, its dice, and when it is next to be woken.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "base/random.h"
#include "mesh/members.h"
#include "mesh/mesh.h"
#include "meshsim/simulation.h"

namespace fortros::meshsim {

struct Simulation::Host {
    Host(const mesh::Self& self, std::shared_ptr<const mesh::Members> known, std::uint64_t seed,
         Instant now)
        : members(std::move(known)), random(seed), mesh(self, *members, random, now) {}

    std::shared_ptr<const mesh::Members> members;
    SeededRandom random;
    mesh::Mesh mesh;
    std::uint64_t revision = 0;
    Instant wake = never;  // the event that counts; later ones are void
    Instant observed = never;
    // What went to members that are no direct peers since the last observation.
    std::vector<std::pair<NodeId, std::uint64_t>> demand{};
};

}  // namespace fortros::meshsim
