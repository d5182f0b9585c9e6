// What a renewed membership changes in what the node remembers for its next boot: a fresh bootstrap set,
// above all. The rules are preboot's. Pure.
#pragma once

#include <optional>

#include "base/time.h"
#include "core/enrolment.h"
#include "core/state.h"

namespace fortros {

struct BootMemoryInputs {
    const Joined& joined;
    WallTime chain_not_before{};  // of the gateway that has answered
    Endpoint gateway;             // its HTTPS, which has proved itself
    // What the image allows to name a gateway. Absent: not known, and the policy stays as it is.
    std::optional<SourceSet> sources{};
    WallTime now{};
};

// The state as it should be from now on; the same where nothing is worth a write to flash.
NodeState remembered(const NodeState& state, const BootMemoryInputs& in);

}  // namespace fortros
