// The system's wall clock, CLOCK_REALTIME, read and set, and the hardware clock behind it, which is
// only set. What time it should be is judged in core/clock_rule.h.
#pragma once

#include <string>

#include "base/result.h"
#include "base/time.h"

namespace fortros {

WallTime wall_now();

// PermissionDenied without CAP_SYS_TIME.
Status set_wall_clock(WallTime time);

// So that the next boot begins with the right time. In UTC, as the kernel reads it. An error where
// there is no such clock, or one that can't be set: common, and no harm to this boot.
Status set_hardware_clock(WallTime time, const std::string& device = "/dev/rtc0");

}  // namespace fortros
