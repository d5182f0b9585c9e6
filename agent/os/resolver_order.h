// The order in which a look-up's gateways are to be tried. Pure; whether any of them is a gateway
// is not known here.
#pragma once

#include <vector>

#include "base/random.h"
#include "core/address.h"
#include "os/dns_answer.h"

namespace fortros {

inline constexpr std::size_t services_limit = 8;  // of one look-up
// Of one family, so that one service of many addresses leaves room for the others.
inline constexpr std::size_t addresses_per_service_limit = 4;

// By priority, and within one by weight and chance (RFC 2782), at most services_limit.
std::vector<Service> in_order(std::vector<Service> services, Random& random);

// The addresses of services that are in order, then the gateway name's own with its port; IPv6 and
// IPv4 interleaved within each priority (RFC 8305 section 4), each endpoint once, at most
// candidates_per_source_limit.
std::vector<Endpoint> endpoints_of(const std::vector<Service>& services,
                                   const std::vector<IpAddress>& own, std::uint16_t own_port);

}  // namespace fortros
