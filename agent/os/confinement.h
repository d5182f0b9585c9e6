// The cage that fortros-preboot locks itself into before it reads a byte from the network: the
// capabilities and the system calls of a boot, and nothing else, for the rest of the process. It is
// never opened again, and it knows nothing of what happens inside.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "core/settings.h"

namespace fortros {

// A core dump of a program that holds keys would hold them too; nor may other processes of the same
// user look into it.
void forbid_core_dumps();

// As capabilities(7) numbers them, a bit each.
using Capabilities = std::uint64_t;

// What a boot needs: links, routes, WireGuard and nf_tables (CAP_NET_ADMIN); packet and raw ICMPv6
// sockets (CAP_NET_RAW); the DHCP clients' ports (CAP_NET_BIND_SERVICE); the clock (CAP_SYS_TIME);
// the immutable flag of UEFI variables (CAP_LINUX_IMMUTABLE); and, only with OnFailure=reboot,
// CAP_SYS_BOOT. Files are reached as their owner: CAP_DAC_OVERRIDE is not among them.
Capabilities capabilities_of_a_boot(OnFailure on_failure);
// What a probe needs, which does not set the clock and never reboots.
Capabilities capabilities_of_a_probe();

struct Cage {
    Capabilities capabilities = 0;           // kept as far as the process has them
    OnFailure on_failure = OnFailure::Exit;  // performed by who made a call outside the list, too
    std::string events{};  // the file that its last event is added to, if there is one
};

// Drops every other capability for good (bounding, ambient and inheritable sets too), forbids new
// privileges, and installs the list. From then on a call outside it ends the process with exit
// status 18 (forbidden-call), after a line to the kernel log and standard error, and an event.
// Unsupported where the kernel has no seccomp filters: then the capabilities are gone all the same.
// Under a sanitizer, whose run-time makes calls of its own, there is no list.
Status confine(const Cage& cage);

}  // namespace fortros
