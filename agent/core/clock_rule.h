// Which time a boot may believe, at which time it judges certificates, and when the gateway's word
// moves the clock. The floor is the newest moment that surely lies in the past: when the image was
// built, when the pinned CA began, the newest notBefore in a chain that authenticated. All three are
// signed or baked in. Pure: the clock is read and set elsewhere.
//
//   clock before the floor       not trusted: set to the floor until a gateway tells the time
//   floor <= clock <= + window   trusted: certificates are judged by it, strictly
//   clock after that             not trusted; left as it is until a gateway tells the time
#pragma once

#include <algorithm>
#include <optional>
#include <string>

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
    WallTime rtc{};  // what the clock said
    WallTime floor{};
    WallTime now{};        // what to set the clock to: the RTC if it is not before the floor
    bool trusted = false;  // floor <= RTC <= floor + window
};

ClockVerdict judge_clock(const ClockEvidence& evidence);

// For people: what the clock said, and why that is not trusted.
std::string to_text(const ClockVerdict& verdict);

// When certificates are judged: at the time of a clock that is trusted, or, while none is, at the
// earliest time that they allow. An end before that time is always in the past, whatever the clock.
class CertificateTime {
public:
    CertificateTime(WallTime exact = {}) : m_at(exact) {}  // NOLINT(google-explicit-constructor)
    static CertificateTime no_earlier_than(WallTime floor) { return {floor, Kind::Earliest}; }

    bool is_exact() const { return m_kind == Kind::Exact; }
    // The one time at which all certificates of a chain are judged.
    WallTime of_chain(WallTime newest_not_before) const {
        return is_exact() ? m_at : std::max(m_at, newest_not_before);
    }

private:
    enum class Kind { Exact, Earliest };
    CertificateTime(WallTime at, Kind kind) : m_at(at), m_kind(kind) {}

    WallTime m_at;
    Kind m_kind = Kind::Exact;
};

// `now` is what the clock says by now.
CertificateTime certificate_time(const ClockVerdict& verdict, WallTime now);

// A clock that is off by no more than this is left alone. Who has seen a WireGuard handshake from the
// future takes none that is older; but an initiation is repeated every five seconds, so from here the
// next one is good again. A clock that jumps at every boot would do more harm.
inline constexpr std::chrono::seconds clock_tolerance{5};

enum class ClockError { None, Behind, Ahead };

// What the gateway's time tells about a clock that said `asked` when the request went out and `now`
// when its answer came: nothing, as long as it lies between the two or near them.
ClockError clock_error(WallTime asked, WallTime told, WallTime now);

}  // namespace fortros
