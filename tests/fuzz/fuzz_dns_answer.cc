// A DNS message as a resolver may send it, to the question for a gateway's addresses or services.
#include <ares.h>

#include "core/discovery.h"
#include "os/dns_answer.h"
#include "os/resolver_order.h"

using namespace fortros;

static bool is_usable(const IpAddress& address) {
    return !address.is_loopback() && !address.is_multicast() && !address.is_unspecified();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ares_dns_record_t* answer = nullptr;
    if (ares_dns_parse(data, size, 0, &answer) != ARES_SUCCESS) return 0;
    for (Family family : {Family::IPv6, Family::IPv4}) {
        const auto addresses = addresses_in(answer, "gateway.example.org", family);
        ASSERT(addresses.size() <= candidates_per_source_limit);
        for (const auto& address : addresses)
            ASSERT(address.family() == family && is_usable(address));
    }
    SeededRandom random(size);
    const auto services =
        in_order(services_in(answer, "_fortros-gateway._tcp.example.org"), random);
    ASSERT(services.size() <= services_limit);
    for (const auto& service : services) {
        ASSERT(service.port != 0 && parse_host_name(service.target) == service.target);
        ASSERT(service.addresses.size() <= candidates_per_source_limit);
    }
    const auto endpoints = endpoints_of(services, {}, 443);
    ASSERT(endpoints.size() <= candidates_per_source_limit);
    for (const auto& endpoint : endpoints)
        ASSERT(endpoint.port != 0 && is_usable(endpoint.address));
    ares_dns_record_destroy(answer);
    return 0;
}
