#include "core/clock_rule.h"

namespace fortros {

ClockVerdict judge_clock(const ClockEvidence& evidence) {
    // A chain that authenticated can't have begun after the CAs ended: such a memory is garbage,
    // and as a floor it would make every certificate expired, for ever.
    const bool remembered = evidence.remembered && (!evidence.ca_not_after ||
                                                    *evidence.remembered <= *evidence.ca_not_after);
    ClockVerdict verdict{.rtc = evidence.rtc};
    for (const auto& past : {evidence.build_time, evidence.ca_not_before,
                             remembered ? evidence.remembered : std::nullopt})
        if (past) verdict.floor = std::max(verdict.floor, *past);
    verdict.now = std::max(evidence.rtc, verdict.floor);
    // Without any evidence the floor is 1970, and says nothing about the clock.
    verdict.trusted = verdict.floor > WallTime{} && evidence.rtc >= verdict.floor &&
                      evidence.rtc - verdict.floor <= evidence.window;
    return verdict;
}

std::string to_text(const ClockVerdict& verdict) {
    std::string rtc = to_rfc3339(verdict.rtc);
    const std::string floor = to_rfc3339(verdict.floor);
    if (verdict.trusted) return rtc;
    if (verdict.floor == WallTime{}) return rtc + ", not trusted: nothing is known to judge it by";
    if (verdict.rtc < verdict.floor) return rtc + ", not trusted: it is " + floor + " or later";
    return rtc + ", not trusted: too long after " + floor + ", the newest time that is certain";
}

CertificateTime certificate_time(const ClockVerdict& verdict, WallTime now) {
    return verdict.trusted ? CertificateTime(now) : CertificateTime::no_earlier_than(verdict.floor);
}

ClockError clock_error(WallTime asked, WallTime told, WallTime now) {
    if (told < asked - clock_tolerance) return ClockError::Ahead;
    if (told > now + clock_tolerance) return ClockError::Behind;
    return ClockError::None;
}

}  // namespace fortros
