// The gateway that serves: every part made in its order, and the chores beside the requests. What
// may come in is admission's business, how it comes in http_server's.
//
//   settings ─▶ credentials ─▶ registry ─▶ tunnels ─▶ admission ─▶ listen ─▶ serve
//
// Everything that can be wrong is found before the first socket listens.
#pragma once

#include <memory>

#include "base/log.h"
#include "gateway/exit_code.h"
#include "gateway/settings.h"

namespace fortros::gateway {

// Serves until SIGTERM or SIGINT.
Outcome<void> serve(const GatewaySettings& settings, Log& log);

}  // namespace fortros::gateway
