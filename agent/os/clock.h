// The system's wall clock, CLOCK_REALTIME: read and set. What time it should be is judged in
// core/clock_rule.h. The hardware clock is left alone: its owner is the real root.
#pragma once

#include "base/result.h"
#include "base/time.h"

namespace fortros {

WallTime wall_now();

// PermissionDenied without CAP_SYS_TIME.
Status set_wall_clock(WallTime time);

}  // namespace fortros
