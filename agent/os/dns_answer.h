// The addresses that one DNS answer gives for one name. An answer is a stranger's word: what is for
// another name, of another family, or an address that no gateway can have, is left out.
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

}  // namespace fortros
