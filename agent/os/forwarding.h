// Whether this host forwards IPv6 for others (net.ipv6.conf.all.forwarding; per interface alone does not
// forward), read by netlink and changed by sysctl. It never switches forwarding off.
#pragma once

#include "base/result.h"

namespace fortros {

// Unsupported where the kernel has no IPv6.
Result<bool> forwards_ipv6();

// Switches it on, having first told every interface that listens to routers to go on doing so
// (accept_ra=2), or the host would lose its default route in that moment. PermissionDenied for who may
// not write sysctls: under a unit with ProtectKernelTunables=, for one.
Status forward_ipv6();

}  // namespace fortros
