// The settings file of a new gateway: what must be said, and every default as a comment. Text only; it
// is written by others.
#pragma once

#include <string>
#include <vector>

#include "core/address.h"

namespace fortros::gateway {

// `endpoints`: those of its WireGuard, as nodes reach it.
std::string settings_template(const std::vector<Endpoint>& endpoints);

}  // namespace fortros::gateway
