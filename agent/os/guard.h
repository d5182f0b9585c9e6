// The guard against plaintext overlay packets: nf_tables rules that drop whatever claims an overlay
// address and did not come out of a tunnel. Without it any host on the LAN could speak as a node.
// It has a table of its own (inet fortros) and never touches another.
#pragma once

#include "base/result.h"
#include "core/overlay.h"

namespace fortros {

// Puts the guard in place, or makes one that is there right, in one transaction: there is no moment
// without it. To be called before an overlay interface comes up. Stays when the process ends.
// Unsupported when the kernel has no nf_tables, with what to do about it.
Status install_guard(const OrgPrefix& prefix);

// Whether the guard's rules are there. Somebody's `nft flush ruleset` takes them away without a word.
Result<bool> guard_is_installed();

}  // namespace fortros
