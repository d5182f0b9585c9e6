#include "core/clock_rule.h"

#include <algorithm>

namespace fortros {

ClockVerdict judge_clock(const ClockEvidence& evidence) {
    // A chain that authenticated can't have begun after the CAs ended: such a memory is garbage,
    // and as a floor it would make every certificate expired, for ever.
    const bool remembered = evidence.remembered && (!evidence.ca_not_after ||
                                                    *evidence.remembered <= *evidence.ca_not_after);
    ClockVerdict verdict;
    for (const auto& past : {evidence.build_time, evidence.ca_not_before,
                             remembered ? evidence.remembered : std::nullopt})
        if (past) verdict.floor = std::max(verdict.floor, *past);
    verdict.now = std::max(evidence.rtc, verdict.floor);
    // Without any evidence the floor is 1970, and says nothing about the clock.
    verdict.trusted = verdict.floor > WallTime{} && evidence.rtc >= verdict.floor &&
                      evidence.rtc - verdict.floor <= evidence.window;
    return verdict;
}

}  // namespace fortros
