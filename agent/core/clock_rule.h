// Which time a boot may believe. The floor is the newest moment that surely lies in the past: when
// the image was built, when the pinned CA began, the newest notBefore in a chain that authenticated.
// All three are signed or baked in. Pure: the clock is read and set elsewhere.
#pragma once

#include <optional>

#include "base/time.h"

namespace fortros {

struct ClockEvidence {
    WallTime rtc{};                           // what the system clock says now
    std::optional<WallTime> build_time{};     // from the settings
    std::optional<WallTime> remembered{};     // NodeState::clock_floor
    std::optional<WallTime> ca_not_before{};  // newest of the pinned CAs
    std::optional<WallTime>
        ca_not_after{};  // latest of the pinned CAs; a remembered floor after it is garbage
    std::chrono::days window{400};
};

struct ClockVerdict {
    WallTime floor{};
    WallTime now{};        // what to set the clock to: the RTC if it is not before the floor
    bool trusted = false;  // floor <= RTC <= floor + window
};

ClockVerdict judge_clock(const ClockEvidence& evidence);

}  // namespace fortros
