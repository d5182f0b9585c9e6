#include "os/resolver_order.h"

#include <algorithm>
#include <numeric>

#include "core/discovery.h"

namespace fortros {

// RFC 2782, "Weight": each next one is drawn with a chance in proportion to its weight; those of
// weight 0 stand first, so that they have a very small chance beside others.
static void order_by_weight(std::span<Service> rest, Random& random) {
    std::ranges::stable_partition(rest, [](const Service& service) { return service.weight == 0; });
    for (; rest.size() > 1; rest = rest.subspan(1)) {
        const auto sum = std::accumulate(
            rest.begin(), rest.end(), std::uint64_t{0},
            [](std::uint64_t so_far, const Service& s) { return so_far + s.weight; });
        std::uint64_t draw = random.below(sum + 1);
        auto chosen = rest.begin();
        for (; chosen->weight < draw; ++chosen) draw -= chosen->weight;
        std::rotate(rest.begin(), chosen, chosen + 1);
    }
}

// The end of those that have the first one's priority.
static auto end_of_priority(auto first, auto end) {
    return std::find_if(first, end,
                        [&](const Service& s) { return s.priority != first->priority; });
}

std::vector<Service> in_order(std::vector<Service> services, Random& random) {
    std::ranges::stable_sort(services, {}, &Service::priority);
    for (auto first = services.begin(); first != services.end();) {
        const auto end = end_of_priority(first, services.end());
        order_by_weight({first, end}, random);
        first = end;
    }
    if (services.size() > services_limit) services.resize(services_limit);
    return services;
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
