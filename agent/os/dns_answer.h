// What one DNS answer says about one name: its addresses, or the services behind it. An answer is a
// stranger's word: what is for another name, of another family, or an address that no gateway can
// have, is left out.
#pragma once

#include <ares.h>

#include <string>
#include <vector>

#include "core/address.h"

namespace fortros {

// In the order of the answer, each once, at most candidates_per_source_limit. Follows a chain of
// aliases (CNAME) inside the answer, bounded.
std::vector<IpAddress> addresses_in(const ares_dns_record_t* answer, const std::string& asked,
                                    Family family);

// One SRV record (RFC 2782).
struct Service {
    std::uint16_t priority = 0;  // the lowest first
    std::uint16_t weight = 0;
    std::uint16_t port = 0;
    std::string target;  // as parse_host_name() spells it
    // What the answer itself adds about the target, bounded as addresses_in().
    std::vector<IpAddress> addresses{};
};

inline constexpr std::size_t service_records_limit = 64;  // of one answer

// In the order of the answer, the first service_records_limit. Without records whose target is no
// host name ("." is: there is no such service) or whose port is 0.
std::vector<Service> services_in(const ares_dns_record_t* answer, const std::string& asked);

}  // namespace fortros
