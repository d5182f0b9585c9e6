// The sockets under the resolver: plain system calls in the form that c-ares wants. They decide
// nothing and keep nothing.
//
// c-ares up to 1.34.5 drops every link-local server without a word (it never fills in the functions
// that turn a link's name into its index). Home routers announce themselves so. Therefore c-ares is
// told a stand-in from 100::/64, which leads nowhere (RFC 6666), and these sockets put the
// link-local address back, together with its link.
#pragma once

#include <ares.h>

#include "core/address.h"

namespace fortros {

// fe80::/64 to 100::/64; the interface's part stays.
IpAddress stand_in_for(const IpAddress& link_local);
bool is_stand_in(const IpAddress& address);

// To be set with a pointer to the index (unsigned) of the link of the link-local servers, which
// must outlive the channel.
extern const ares_socket_functions_ex resolver_sockets;

}  // namespace fortros
