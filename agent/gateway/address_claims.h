// Who of the members has which overlay address: each has one, and no two the same. Pure; what the
// registry says is looked at once more before the kernel hears of it.
#pragma once

#include <span>
#include <vector>

#include "core/address.h"
#include "gateway/registry.h"

namespace fortros::gateway {

// Borrowed from the records that they were made from.
struct AddressClaims {
    std::vector<const NodeRecord*> members{};  // by address
    std::vector<const NodeRecord*> refused{};  // members without a peer
};

// Of two that claim one address, who enrolled first has it, and the other none. Nobody has one of
// `taken`, the gateway's own.
AddressClaims settle_address_claims(std::span<const NodeRecord> nodes,
                                    std::span<const IpAddress> taken);

}  // namespace fortros::gateway
