#include "mesh/endpoints.h"

#include <algorithm>
#include <array>
#include <map>

namespace fortros::mesh {

namespace {

bool is_own(const IpAddress& address, std::span<const IpAddress> underlay) {
    return std::ranges::contains(underlay, address);
}

// Whether two addresses look as if they were in one network: /24, or /64.
bool neighbours(const IpAddress& a, const IpAddress& b) {
    if (a.family() != b.family()) return false;
    return IpNetwork{a, static_cast<std::uint8_t>(a.is_v4() ? 24 : 64)}.contains(b);
}

Nat nat_of(std::span<const IpAddress> underlay, std::span<const Sight> sights) {
    std::vector<Endpoint> direct;
    bool seen_inside = false;
    for (const Sight& sight : sights) {
        const bool is_inside = is_private(sight.seen.address);
        if (is_own(sight.seen.address, underlay)) {
            if (!is_inside) return Nat::None;
            // On the link no NAT is in between: that says nothing of the way out of it.
            seen_inside = seen_inside || !sight.direct;
        } else if (sight.direct && !is_inside) {
            direct.push_back(sight.seen);
        }
    }
    if (seen_inside && direct.empty()) return Nat::None;
    if (direct.size() < 2) return Nat::Unknown;
    // By family: a mapping of IPv4 says nothing of one of IPv6.
    bool compared = false;
    for (std::size_t i = 1; i < direct.size(); ++i)
        for (std::size_t k = 0; k < i; ++k) {
            if (direct[i].address.family() != direct[k].address.family()) continue;
            compared = true;
            if (direct[i] != direct[k]) return Nat::Symmetric;
        }
    return compared ? Nat::Cone : Nat::Unknown;
}

void add(std::vector<Endpoint>& to, const Endpoint& endpoint, std::size_t limit) {
    if (endpoint.port != 0 && to.size() < limit && !std::ranges::contains(to, endpoint))
        to.push_back(endpoint);
}

}  // namespace

Whereabouts whereabouts(std::span<const IpAddress> underlay, std::uint16_t direct_port,
                        std::span<const Sight> sights) {
    Whereabouts out;
    out.nat = nat_of(underlay, sights);
    const auto own = underlay.first(std::min(underlay.size(), own_addresses_limit));
    const auto add_own = [&] {
        for (const IpAddress& address : own)
            add(out.candidates, {address, direct_port}, candidates_limit);
    };
    if (out.nat == Nat::None) add_own();
    std::map<Endpoint, int> votes;
    for (const Sight& sight : sights)
        if (sight.direct && !is_own(sight.seen.address, underlay)) ++votes[sight.seen];
    // A symmetric NAT has as many mappings as there are peers; none is right for the next.
    const std::size_t most_seen = 2;
    std::vector<std::pair<int, Endpoint>> seen;
    for (const auto& [endpoint, count] : votes) seen.emplace_back(-count, endpoint);
    std::ranges::sort(seen);
    if (seen.size() > most_seen) seen.resize(most_seen);
    for (const auto& [count, endpoint] : seen)
        add(out.candidates, endpoint, candidates_limit - own.size());
    for (const Sight& sight : sights)
        if (!sight.direct && !is_own(sight.seen.address, underlay))
            add(out.candidates, {sight.seen.address, direct_port}, candidates_limit - own.size());
    add_own();
    return out;
}

bool is_private(const IpAddress& address) {
    static const std::array networks = {
        *IpNetwork::parse("10.0.0.0/8"),     *IpNetwork::parse("172.16.0.0/12"),
        *IpNetwork::parse("192.168.0.0/16"), *IpNetwork::parse("100.64.0.0/10"),
        *IpNetwork::parse("169.254.0.0/16"), *IpNetwork::parse("fc00::/7"),
        *IpNetwork::parse("fe80::/10")};
    return std::ranges::any_of(networks,
                               [&](const IpNetwork& network) { return network.contains(address); });
}

bool is_usable(const Endpoint& endpoint, const OrgPrefix& prefix) {
    const IpAddress& address = endpoint.address;
    return endpoint.port != 0 && !address.is_unspecified() && !address.is_loopback() &&
           !address.is_multicast() && !prefix.contains(address);
}

std::vector<Endpoint> tries(const TryFor& peer, std::span<const IpAddress> underlay,
                            std::span<const Endpoint> own, const OrgPrefix& prefix) {
    std::vector<Endpoint> out;
    if (peer.lan && is_usable(*peer.lan, prefix)) out.push_back(*peer.lan);
    // Behind one NAT: somebody sees both at one public address.
    const bool one_nat = std::ranges::any_of(peer.told, [&](const Endpoint& told) {
        return !is_private(told.address) &&
               std::ranges::contains(own, told.address, &Endpoint::address);
    });
    const auto near = [&](const Endpoint& endpoint) {
        return is_private(endpoint.address) &&
               (one_nat || std::ranges::any_of(underlay, [&](const IpAddress& address) {
                    return neighbours(address, endpoint.address);
                }));
    };
    const auto take = [&](std::span<const Endpoint> from, const auto& chosen) {
        for (const Endpoint& endpoint : from)
            if (is_usable(endpoint, prefix) && !endpoint.address.is_link_local() &&
                !is_own(endpoint.address, underlay) && chosen(endpoint))
                add(out, endpoint, tries_limit);
    };
    const auto far = [&](const Endpoint& endpoint) { return !near(endpoint); };
    const auto is_public = [](const Endpoint& endpoint) { return !is_private(endpoint.address); };
    const auto any = [](const Endpoint&) { return true; };
    take(peer.told, near);
    take(peer.told, [&](const Endpoint& endpoint) { return far(endpoint) && is_public(endpoint); });
    take(peer.listed, any);
    take(peer.told, any);
    return out;
}

}  // namespace fortros::mesh
