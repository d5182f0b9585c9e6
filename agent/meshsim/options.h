// What fortros-meshsim was asked to do on its command line.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "meshsim/world.h"

namespace fortros::meshsim {

struct Options {
    enum class Command { Help, Version, World, Run, Faults, Quality, DeadLinks, Idle };
    Command command = Command::Help;
    WorldSpec world{};
    std::uint64_t count = 1;  // of worlds, for faults
    Duration settle = 20min;
    Duration rest = 60min;
    std::string draw{};  // a folder; empty: nothing is drawn
};

extern const std::string_view meshsim_help;

// InvalidArgument with a hint for anything that is not understood.
Result<Options> parse_options(std::span<const std::string_view> words);

}  // namespace fortros::meshsim
