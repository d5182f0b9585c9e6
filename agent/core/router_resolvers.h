// The resolvers that IPv6 routers advertise on one link (RDNSS, RFC 8106), each for as long as its
// router says. It asks nobody anything, and a resolver named here is a hint, never a trust.
#pragma once

#include <cstddef>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "core/address.h"

namespace fortros {

struct RouterResolver {
    IpAddress address;    // may be link-local: it then means this link only
    Duration lifetime{};  // 0: no longer to be used
    bool operator==(const RouterResolver&) const = default;
};

// Lifetime without end (RFC 8106 section 5.1).
inline constexpr Duration endless_resolver = std::chrono::seconds{0xffffffff};
inline constexpr std::size_t router_resolvers_limit = 16;

// The resolvers in a sequence of Neighbor Discovery options (RFC 4861 section 4.6); other options
// are skipped. InvalidData when the options do not fit into each other.
Result<std::vector<RouterResolver>> parse_router_resolvers(ByteView options);

class RouterResolvers {
public:
    // Takes in what one advertisement said. More than router_resolvers_limit are not kept: the
    // first known stay, so that a flood cannot push a good one out.
    void heard(const std::vector<RouterResolver>& resolvers, Instant now);
    // Drops what has expired.
    void tick(Instant now);
    void clear() { m_known.clear(); }

    // When the next one expires; Instant::max() when none does.
    Instant deadline() const;
    std::vector<IpAddress> addresses() const;  // in the order in which they became known

private:
    struct Known {
        IpAddress address;
        Instant until;
    };
    std::vector<Known> m_known;
};

}  // namespace fortros
