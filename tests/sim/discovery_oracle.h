// What must become of a boot in a random world, told from the world's description alone. It knows
// nothing of how the machine goes about it but the bounds that it has to keep.
//
//   path         an allowed source names an endpoint (a cached address, or an answer of a resolver
//                that is up and answers in time) where a gateway of the org can be reached
//   round        the longest that it may take to go through all that could be named, once
//   due          where a path is up from the first usable link on, it must be found in one round;
//                where it comes later, in what is left of a round, a pause and another round
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/exit_status.h"
#include "sim/random_world.h"

namespace fortros::sim {

struct AskedResolver {
    IpAddress server;
    unsigned ifindex = 0;  // of the link whose own it is; 0: a public one
    auto operator<=>(const AskedResolver&) const = default;
};

struct Expectation {
    SourceSet allowed;
    std::vector<Endpoint> cached{};
    std::set<AskedResolver> resolvers{};  // that may be asked
    std::optional<ExitStatus> at_once{};  // no packet is sent
    std::optional<Instant> first_link{};  // usable; absent: none in time
    Duration round{};
    Duration pause{};
    std::optional<Instant> due{};  // the latest at which the request of the join must be sent
    bool from_the_start = false;   // that path is up from the first link on
    std::string path{};            // that makes it due
};

Expectation expect(const RandomWorld& world);

bool is_policy_lost(Past past);
// Whether the host is of this kind at any time.
bool is_ever(const fakes::BootWorld& world, const Endpoint& endpoint, fakes::Host kind);

}  // namespace fortros::sim
