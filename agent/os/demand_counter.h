// How much goes to and comes from whom through lighthouses: an nf_tables set of overlay addresses with a
// counter each, which the kernel fills by itself, in a table of our own (inet fortros-demand). It holds
// no packet up, and without nf_tables nothing is told.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/result.h"
#include "core/address.h"
#include "core/overlay.h"

namespace fortros {

// Addresses that are counted at once; to more the kernel gives no counter until old ones have gone.
inline constexpr std::uint32_t demand_limit = 4096;

class DemandCounter {
public:
    // Makes the table, anew if it was there. Unsupported when the kernel has no nf_tables.
    static Result<DemandCounter> create(const OrgPrefix& prefix);

    struct Demand {
        IpAddress overlay_address;
        std::uint64_t bytes = 0;
    };
    // Since the last time: the `limit` addresses with the most, the most first. Somebody's `nft flush
    // ruleset` is mended by it, and nothing is told then.
    Result<std::vector<Demand>> read(std::size_t limit);

private:
    explicit DemandCounter(const OrgPrefix& prefix) : m_prefix(prefix) {}
    Status install() const;

    OrgPrefix m_prefix;
    std::map<IpAddress, std::uint64_t> m_counted;
};

}  // namespace fortros
