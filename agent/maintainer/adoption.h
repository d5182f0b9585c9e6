// Adoption: what the maintainer makes of the hand-off. A pure step from the document that preboot
// left to the overlay that should be there, and the judgement of what is there. It changes nothing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/handoff.h"
#include "core/membership.h"
#include "core/overlay_plan.h"
#include "core/overlay_state.h"

namespace fortros {

// The overlay that the hand-off describes.
OverlayPlan plan_of(const HandOff& hand_off);

// Whether what the hand-off says of the org and its members is signed for by the org, as of the time
// when it was written: a member's links outlive its attestation. Untrusted if not, also where an
// interface has a peer that is no member. What a node remembered came without attestations, from a set
// that preboot has checked.
Status check_signed(const HandOff& hand_off, const SignerVerifier& verifier);

// The node's key is in fortros0 and nowhere else that may be read: NotFound where that is missing or
// bears none. Conflict where an interface of the overlay bears another's. Lighthouses come and go.
Status check_adoptable(const HandOff& hand_off, const std::vector<InterfaceState>& have);

}  // namespace fortros
