// The interfaces by which maintainers' datagrams come and go, and whose they are.
#pragma once

#include <map>
#include <vector>

#include "core/key.h"

namespace fortros {

struct MessengerWays {
    unsigned direct = 0;                          // ifindex of fortros0
    std::map<unsigned, PublicKey> lighthouses{};  // ifindex to whose it is
    std::vector<PublicKey> preferred{};           // that live, the best first: for relaying
    bool operator==(const MessengerWays&) const = default;
};

}  // namespace fortros
