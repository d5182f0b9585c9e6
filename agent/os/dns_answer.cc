#include "os/dns_answer.h"

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "core/discovery.h"

namespace fortros {

static constexpr std::size_t cname_chain_limit = 16;

// No gateway has such an address, whoever says so.
static bool is_usable(const IpAddress& address) {
    return !address.is_unspecified() && !address.is_loopback() && !address.is_multicast() &&
           !address.is_link_local() && address.text() != "255.255.255.255";
}

// The name at the end of the chain of aliases that begins at `name`.
static std::string canonical_name(const ares_dns_record_t* answer, std::string name) {
    const std::size_t count = ares_dns_record_rr_cnt(answer, ARES_SECTION_ANSWER);
    for (std::size_t hops = 0; hops < cname_chain_limit; ++hops) {
        const char* alias = nullptr;
        for (std::size_t i = 0; i < count && !alias; ++i) {
            const auto* record = ares_dns_record_rr_get_const(answer, ARES_SECTION_ANSWER, i);
            if (ares_dns_rr_get_type(record) == ARES_REC_TYPE_CNAME &&
                equal_ignoring_case(ares_dns_rr_get_name(record), name))
                alias = ares_dns_rr_get_str(record, ARES_RR_CNAME_CNAME);
        }
        if (!alias) break;
        name = alias;
    }
    return name;
}

static std::optional<IpAddress> address_in(const ares_dns_rr_t* record) {
    ByteView bytes;
    if (ares_dns_rr_get_type(record) == ARES_REC_TYPE_A)
        bytes = {
            reinterpret_cast<const std::uint8_t*>(ares_dns_rr_get_addr(record, ARES_RR_A_ADDR)), 4};
    else if (ares_dns_rr_get_type(record) == ARES_REC_TYPE_AAAA)
        bytes = {
            reinterpret_cast<const std::uint8_t*>(ares_dns_rr_get_addr6(record, ARES_RR_AAAA_ADDR)),
            16};
    return IpAddress::from_bytes(bytes);
}

static void add_usable(std::vector<IpAddress>& found, const std::optional<IpAddress>& address) {
    if (address && is_usable(*address) && found.size() < candidates_per_source_limit &&
        !std::ranges::contains(found, *address))
        found.push_back(*address);
}

std::vector<IpAddress> addresses_in(const ares_dns_record_t* answer, const std::string& asked,
                                    Family family) {
    std::vector<IpAddress> found;
    const std::string name = canonical_name(answer, asked);
    const std::size_t count = ares_dns_record_rr_cnt(answer, ARES_SECTION_ANSWER);
    for (std::size_t i = 0; i < count; ++i) {
        const auto* record = ares_dns_record_rr_get_const(answer, ARES_SECTION_ANSWER, i);
        if (!equal_ignoring_case(ares_dns_rr_get_name(record), name)) continue;
        const auto address = address_in(record);
        if (address && address->family() == family) add_usable(found, address);
    }
    return found;
}

// Of the targets only: a resolver adds what it likes.
static void take_additional(const ares_dns_record_t* answer, std::vector<Service>& services) {
    const std::size_t count = ares_dns_record_rr_cnt(answer, ARES_SECTION_ADDITIONAL);
    for (std::size_t i = 0; i < count; ++i) {
        const auto* record = ares_dns_record_rr_get_const(answer, ARES_SECTION_ADDITIONAL, i);
        const auto address = address_in(record);
        if (!address) continue;
        for (auto& service : services)
            if (equal_ignoring_case(ares_dns_rr_get_name(record), service.target))
                add_usable(service.addresses, address);
    }
}

std::vector<Service> services_in(const ares_dns_record_t* answer, const std::string& asked) {
    std::vector<Service> found;
    const std::string name = canonical_name(answer, asked);
    const std::size_t count = ares_dns_record_rr_cnt(answer, ARES_SECTION_ANSWER);
    for (std::size_t i = 0; i < count && found.size() < service_records_limit; ++i) {
        const auto* record = ares_dns_record_rr_get_const(answer, ARES_SECTION_ANSWER, i);
        if (ares_dns_rr_get_type(record) != ARES_REC_TYPE_SRV ||
            !equal_ignoring_case(ares_dns_rr_get_name(record), name))
            continue;
        const std::uint16_t port = ares_dns_rr_get_u16(record, ARES_RR_SRV_PORT);
        auto target = parse_host_name(ares_dns_rr_get_str(record, ARES_RR_SRV_TARGET));
        if (port == 0 || !target) continue;
        found.push_back({.priority = ares_dns_rr_get_u16(record, ARES_RR_SRV_PRIORITY),
                         .weight = ares_dns_rr_get_u16(record, ARES_RR_SRV_WEIGHT),
                         .port = port,
                         .target = std::move(*target)});
    }
    take_additional(answer, found);
    return found;
}

}  // namespace fortros
