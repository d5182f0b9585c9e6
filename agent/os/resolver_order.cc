#include "os/resolver_order.h"

#include <algorithm>

#include "core/discovery.h"

namespace fortros {

// RFC 2782, "Weight": of those of the lowest priority each has a chance in proportion to its weight;
// those of weight 0 stand first, so that they have a very small one beside others.
static auto next_of(const std::vector<Service>& left, Random& random) {
    const std::uint16_t priority = std::ranges::min_element(left, {}, &Service::priority)->priority;
    const auto has_priority = [&](const Service& s) { return s.priority == priority; };
    std::uint64_t sum = 0;
    for (const auto& service : left)
        if (has_priority(service)) sum += service.weight;
    std::uint64_t draw = random.below(sum + 1);
    if (draw == 0) {
        const auto without = std::ranges::find_if(
            left, [&](const Service& s) { return has_priority(s) && s.weight == 0; });
        if (without != left.end()) return without;
    }
    return std::ranges::find_if(left, [&](const Service& s) {
        if (!has_priority(s)) return false;
        if (s.weight >= draw) return true;
        draw -= s.weight;
        return false;
    });
}

std::vector<Service> in_order(std::vector<Service> services, Random& random) {
    std::vector<Service> out;
    while (!services.empty() && out.size() < services_limit) {
        const auto next = next_of(services, random);
        out.push_back(*next);
        services.erase(next);
    }
    return out;
}

// The end of those that have the first one's priority.
static auto end_of_priority(auto first, auto end) {
    return std::find_if(first, end,
                        [&](const Service& s) { return s.priority != first->priority; });
}

// Endpoints of one priority.
struct Families {
    std::vector<Endpoint> ipv6{}, ipv4{};

    void add(const std::vector<IpAddress>& addresses, std::uint16_t port, std::size_t limit) {
        std::size_t of_ipv6 = 0, of_ipv4 = 0;
        for (const auto& address : addresses)
            if (auto& count = address.is_v4() ? of_ipv4 : of_ipv6; count++ < limit)
                (address.is_v4() ? ipv4 : ipv6).push_back({address, port});
    }

    void interleave_to(std::vector<Endpoint>& out) const {
        const auto append = [&](const std::vector<Endpoint>& from, std::size_t i) {
            if (i < from.size() && out.size() < candidates_per_source_limit &&
                !std::ranges::contains(out, from[i]))
                out.push_back(from[i]);
        };
        for (std::size_t i = 0; i < std::max(ipv6.size(), ipv4.size()); ++i) {
            append(ipv6, i);
            append(ipv4, i);
        }
    }
};

std::vector<Endpoint> endpoints_of(const std::vector<Service>& services,
                                   const std::vector<IpAddress>& own, std::uint16_t own_port) {
    std::vector<Endpoint> out;
    for (auto first = services.begin(); first != services.end();) {
        const auto end = end_of_priority(first, services.end());
        Families families;
        for (; first != end; ++first)
            families.add(first->addresses, first->port, addresses_per_service_limit);
        families.interleave_to(out);
    }
    Families families;
    families.add(own, own_port, candidates_per_source_limit);
    families.interleave_to(out);
    return out;
}

}  // namespace fortros
