#include "core/router_resolvers.h"

#include <algorithm>

namespace fortros {

static constexpr std::uint8_t option_rdnss = 25;
static constexpr std::size_t option_unit = 8;  // lengths are counted in these
static constexpr std::size_t address_size = 16;

static bool is_host(const IpAddress& address) {
    return !address.is_unspecified() && !address.is_loopback() && !address.is_multicast();
}

Result<std::vector<RouterResolver>> parse_router_resolvers(ByteView options) {
    std::vector<RouterResolver> resolvers;
    ByteReader in(options);
    while (in.left() > 0) {
        const std::uint8_t type = in.u8();
        const std::size_t size = option_unit * in.u8();
        // A length of 0 would be read for ever (RFC 4861 section 4.6).
        if (size == 0) return fail(ErrorCode::InvalidData, "a router's option has no length");
        ByteReader option(in.take(size - 2));
        if (!in.ok()) return fail(ErrorCode::InvalidData, "a router's option runs past its end");
        if (type != option_rdnss) continue;
        option.u16();  // reserved
        const std::chrono::seconds lifetime{option.u32()};
        while (option.left() >= address_size && resolvers.size() < router_resolvers_limit) {
            const auto address = IpAddress::from_bytes(option.take(address_size));
            if (address && is_host(*address)) resolvers.push_back({*address, lifetime});
        }
    }
    return resolvers;
}

void RouterResolvers::heard(const std::vector<RouterResolver>& resolvers, Instant now) {
    tick(now);
    for (const RouterResolver& resolver : resolvers) {
        auto known = std::ranges::find(m_known, resolver.address, &Known::address);
        const Instant until =
            resolver.lifetime == endless_resolver ? Instant::max() : now + resolver.lifetime;
        if (resolver.lifetime == 0s) {
            if (known != m_known.end()) m_known.erase(known);
        } else if (known != m_known.end()) {
            known->until = until;
        } else if (m_known.size() < router_resolvers_limit) {
            m_known.push_back({resolver.address, until});
        }
    }
}

void RouterResolvers::tick(Instant now) {
    std::erase_if(m_known, [&](const Known& known) { return known.until <= now; });
}

Instant RouterResolvers::deadline() const {
    Instant next = Instant::max();
    for (const Known& known : m_known) next = std::min(next, known.until);
    return next;
}

std::vector<IpAddress> RouterResolvers::addresses() const {
    std::vector<IpAddress> addresses;
    addresses.reserve(m_known.size());
    for (const Known& known : m_known) addresses.push_back(known.address);
    return addresses;
}

}  // namespace fortros
