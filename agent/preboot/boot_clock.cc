// The clock during a boot: at which time certificates are judged, and what the time that a gateway
// has told does to a clock that was wrong. WireGuard's handshakes carry the sender's time, and a
// responder takes none that is older than the newest it has seen; so the clock is right before the
// join brings WireGuard up, and whoever was spoken to with a clock that was ahead must hear of it.
#include "preboot/boot.h"

namespace fortros {

CertificateTime Boot::certificate_time() const {
    return m_clock_trusted ? CertificateTime(m_now.wall)
                           : CertificateTime::no_earlier_than(m_in.clock.floor);
}

// The gateway's time is proved, and lies between the dates of its chain; that of the hardware is
// whatever its battery, or somebody's hand, has made of it.
ClockError Boot::take_time(WallTime told) {
    m_clock_trusted = true;
    const ClockError error = clock_error(m_conversation->asked, told, m_now.wall);
    if (error == ClockError::None) return error;
    emit(Report{
        {.level = Level::Notice,
         .event = "clock-set",
         .message = "the clock said " + to_rfc3339(m_now.wall) + " and is set to " +
                    to_rfc3339(told) + ", the gateway's time",
         .fields = {{"was", to_rfc3339(m_now.wall)}, {"floor", to_rfc3339(m_in.clock.floor)}}}});
    emit(SetClock{told});
    m_now.wall = told;
    return error;
}

// The fast start has spoken from the future, and until then nobody whom it spoke to would take a
// handshake. So the overlay goes away, lest it speaks again, and the same gateway is asked once more,
// which is told and forgets.
void Boot::forget_the_future() {
    warn("clock-stepped-back",
         "the overlay was up with a clock that was ahead: it is taken down, and the gateway asked "
         "to forget its handshakes");
    m_clock_stepped_back = true;
    m_fast_start.reset();
    emit(TakeDownOverlay{});
    m_conversation->pending.reset();
    m_phase_deadline = m_now.instant + m_in.settings.attempt_timeout;
    const Candidate& candidate = m_conversation->candidate;
    emit(Connect{m_conversation->id, candidate.endpoint, certificate_time(), candidate.ifindex});
}

bool Boot::is_asked_again(Discovery::Id id) const {
    return m_phase == Phase::Enrolling && m_clock_stepped_back && m_conversation &&
           m_conversation->id == id && !m_conversation->pending;
}

void Boot::asked_again(GatewayIdentity gateway) {
    m_conversation->gateway = std::move(gateway);
    send_request();
}

}  // namespace fortros
