// The bootstrap set that a node brings along from an earlier boot, sound or in one of the ways in which
// it may not be believed: then it names somebody whom no node of the org may ever peer with.
#pragma once

#include <string_view>
#include <vector>

#include "fakes/boot_world.h"

namespace fortros::sim {

enum class RememberedSet {
    None,
    Sound,
    Expired,
    Altered,
    OfAnother,    // node
    Older,        // than the newest that the node has seen
    OlderPolicy,  // than the newest document that the node has seen
    ByStranger,   // signed by somebody who is no signer of the org
    OtherPrefix,
};

std::string_view name_of(RememberedSet kind);

// Puts it into the world's stored state, which must be there. `peers` are the org's.
void remember_set(fakes::BootWorld& world, RememberedSet kind, const PublicKey& node,
                  std::vector<MeshPeer> peers, Random& random);

// A peer of the org, and one of somebody else's, whose WireGuards the world then has.
MeshPeer make_peer(fakes::BootWorld& world, const PublicKey& key, Role role,
                   const std::vector<Endpoint>& endpoints, const fakes::Timeline<bool>& answers);

}  // namespace fortros::sim
