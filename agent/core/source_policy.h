// Which sources may name a gateway on this node: what the image's file and the command line allow,
// narrowed by what the node remembers. It can't fail open: an attacker who can delete or spoil a
// variable must not be able to widen what the node asks of the network. Who can write one that is sound
// (an old one, say) still can where there is an invite: that is a node whose enrolment has begun.
#pragma once

#include <optional>

#include "core/discovery.h"
#include "core/handoff.h"
#include "core/key.h"
#include "core/settings.h"
#include "core/state.h"

namespace fortros {

struct SourcePolicy {
    SourceSet sources;  // may be empty
    bool state_lost =
        false;  // there is a key, and no state that fits it: the narrowest policy holds
};

// `settings` are already narrowed by the command line; `key` is the node's own, if it has one. A node
// with a key and no invite can only have been enrolled.
SourcePolicy source_policy(const Settings& settings, const std::optional<NodeState>& state,
                           const std::optional<PublicKey>& key, bool has_invite);

// What a node that has joined remembers of its policy. The org document's word replaces what was
// remembered, within what the image allows; without one it only ever gets narrower, and an image that
// says nothing of it does not take it back. A policy that would leave this node no source is not taken:
// it would lock it out.
std::optional<SourceSet> policy_to_remember(const Settings& settings,
                                            const std::optional<SourceSet>& remembered,
                                            const std::optional<SourceSet>& document);

// What of `settings` and `state` counts as cached: what has proved true, newest first, then what is
// baked in.
std::vector<Endpoint> cached_gateways(const Settings& settings,
                                      const std::optional<NodeState>& state);

// How to look for a gateway with what the links have brought. Public resolvers are asked as the routes
// lead, and then by each link, where several lead to them.
DiscoveryPlan make_discovery_plan(const Settings& settings, const std::optional<NodeState>& state,
                                  SourceSet sources, const std::vector<UplinkHandOff>& links);

}  // namespace fortros
