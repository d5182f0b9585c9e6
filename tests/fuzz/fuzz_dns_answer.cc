// A DNS message as a resolver may send it, to the question for a gateway's addresses.
#include <ares.h>

#include "core/discovery.h"
#include "os/dns_answer.h"

using namespace fortros;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ares_dns_record_t* answer = nullptr;
    if (ares_dns_parse(data, size, 0, &answer) != ARES_SUCCESS) return 0;
    for (Family family : {Family::IPv6, Family::IPv4}) {
        const auto addresses = addresses_in(answer, "gateway.example.org", family);
        ASSERT(addresses.size() <= candidates_per_source_limit);
        for (const auto& address : addresses)
            ASSERT(address.family() == family && !address.is_loopback() &&
                   !address.is_multicast() && !address.is_unspecified());
    }
    ares_dns_record_destroy(answer);
    return 0;
}
