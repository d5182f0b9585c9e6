// A member as the mesh knows it: the org's word for its key, and where it says it can be reached.
// Whoever makes one has checked the attestation; the mesh takes it for true.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "core/address.h"
#include "core/attestation.h"
#include "core/key.h"

namespace fortros::mesh {

struct Member {
    PublicKey key;
    IpAddress address;  // in the overlay; follows from the key
    Role role = Role::Node;
    std::uint64_t serial = 0;  // of its attestation: the newest counts
    WallTime not_after{};      // an expired member keeps the links it has and gains none
    std::string hostname{};
    std::vector<Endpoint> endpoints{};  // lighthouses and gateways have some
    Bytes attestation{};  // its own bytes; empty where nobody needs them (simulations)

    // Everybody peers with it, and it relays.
    bool relays() const { return role != Role::Node; }
};

}  // namespace fortros::mesh
