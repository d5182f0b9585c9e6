// What a boot in a random world may and must do by the bootstrap set that the node remembers, told from
// the world's description alone.
#pragma once

#include <optional>

#include "sim/discovery_oracle.h"

namespace fortros::sim {

struct FastStartExpectation {
    bool allowed = false;  // and so due, as soon as there is a link
    // The latest at which a peer must have answered, unless a gateway has ended the matter before.
    std::optional<Instant> tunnel_due{};
};

FastStartExpectation expect_fast_start(const RandomWorld& world, const Expectation& expected);

}  // namespace fortros::sim
