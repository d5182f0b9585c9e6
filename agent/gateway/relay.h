// Whether nodes can talk to each other through this host, and how that is made so. The host forwards
// IPv6 then, whoever asks: what else it lets through is its firewall's to say.
#pragma once

#include <string>

#include "gateway/admin.h"
#include "gateway/settings.h"

namespace fortros::gateway {

// Why they can't although they should; empty: they can, or need not.
std::string relay_problem(const GatewaySettings& settings);

// allow-relay: what who serves may not do itself, as under the unit.
Outcome<Said> allow_relay(const Arguments&, const GatewaySettings& settings);

}  // namespace fortros::gateway
