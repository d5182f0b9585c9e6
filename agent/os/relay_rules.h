// The rules of routing that keep packets from circling between lighthouses: what came from one leaves by
// a route to its very destination, or not at all. Rules have numbers of their own; no other is touched.
//
//   ip -6 rule add priority 5181 iif INTERFACE lookup main suppress_prefixlength 48
//   ip -6 rule add priority 5182 iif INTERFACE unreachable
#pragma once

#include <set>
#include <string>

#include "base/result.h"

namespace fortros {

// For these interfaces, by difference: what is right is not touched, and an interface is closed before
// it is opened. Without any, nothing of ours is left. Unsupported when there are some and the kernel has
// no rules for IPv6.
Status set_relay_rules(const std::set<std::string>& interfaces);

}  // namespace fortros
