// Routes by source (rtnetlink rules, ip-rule(8)): what leaves from an address leaves by an interface of
// its own, whatever the main table says. Rules and tables have numbers of their own; no other is touched.
//
//   ip -6 rule add priority 5180 from SOURCE lookup 5180000+IFINDEX
//   ip -6 route add DESTINATION dev INTERFACE table 5180000+IFINDEX
#pragma once

#include <vector>

#include "base/result.h"
#include "core/address.h"

namespace fortros {

// A route for each interface at most.
struct SourceRoute {
    IpAddress source;
    IpNetwork destination;
    unsigned ifindex = 0;
    bool operator==(const SourceRoute&) const = default;
};

// Brings rules and tables to these routes by difference: what is right is not touched, and what is
// wanted comes before what is superfluous goes. Without any, nothing of ours is left. Unsupported
// when there are some and the kernel has no rules for IPv6.
Status set_source_routes(const std::vector<SourceRoute>& routes);

}  // namespace fortros
