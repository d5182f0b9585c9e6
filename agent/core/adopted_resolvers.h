// The resolvers that others in the initramfs have found and written into files of theirs, for
// Mode=adopt. Pure: a file's text in, addresses out; os/adopted_files.h knows which files.
//
// One grammar reads them all, for all are lines, and no line of one kind means anything in another:
//   nameserver 192.0.2.53                      resolv.conf(5): dracut, NetworkManager, resolved
//   IPV4DNS0='192.0.2.53'                      klibc's ipconfig, and what imitates it
//   DNS=192.0.2.53 2001:db8::53%eth0           systemd-networkd's state of a link, and its leases
//   new_domain_name_servers=192.0.2.53         dhclient's environment, as dracut keeps it
//   dhcp4.domain_name_servers=192.0.2.53       NetworkManager's state of a device
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "core/address.h"

namespace fortros {

inline constexpr std::size_t adopted_text_limit = std::size_t{64} * 1024;  // bytes of one file
inline constexpr std::size_t adopted_resolvers_limit = 16;                 // of one file

// In their order, each once. What does not parse is skipped, as are addresses that are no other
// host's: 0.0.0.0 (ipconfig's "none") and loopback (a stub's, which knows no more than the others).
std::vector<IpAddress> parse_adopted_resolvers(std::string_view text);

}  // namespace fortros
