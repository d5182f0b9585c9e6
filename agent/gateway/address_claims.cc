#include "gateway/address_claims.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace fortros::gateway {

// The same for every gateway and after every restart, in whatever order the records come.
static bool is_earlier(const NodeRecord& one, const NodeRecord& other) {
    return std::tie(one.enrolled, one.key) < std::tie(other.enrolled, other.key);
}

AddressClaims settle_address_claims(std::span<const NodeRecord> nodes,
                                    std::span<const IpAddress> taken) {
    std::map<IpAddress, const NodeRecord*> owners;
    AddressClaims claims;
    for (const NodeRecord& node : nodes) {
        if (!node.is_member()) continue;
        const NodeRecord* loser = &node;
        if (!std::ranges::contains(taken, node.overlay_address)) {
            const NodeRecord*& owner = owners[node.overlay_address];
            if (!owner || is_earlier(node, *owner)) std::swap(owner, loser);
        }
        if (loser) claims.refused.push_back(loser);
    }
    for (const auto& [address, owner] : owners) claims.members.push_back(owner);
    return claims;
}

}  // namespace fortros::gateway
