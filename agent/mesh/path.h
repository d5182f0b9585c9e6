// Whether a tunnel carries packets, told by what goes in and comes out, and by probes where that is
// not enough. One watch a tunnel. WireGuard's own signals take minutes; this takes seconds, and an idle
// tunnel costs nothing. It sends nothing itself and knows no peer.
//
//   New      a probe each second; the first answer makes it Alive, 10 s without one Dead
//   Alive
//     0 s      a packet is sent, nothing comes back
//     2 s    Suspect: a probe each half second, bound to the interface (six of them, so that loss of
//              a third in both directions kills a path by mistake once in fifty such silences)
//     5 s      (after the first unanswered packet) Dead: no route leads here, the other end is told
//   Dead     probes go on, backing off to ten minutes, for as long as the link is wanted
//     +3       answered probes in a row, with one's own nonces: Alive
//
// Receive counters clear a suspicion; they never revive the dead.
//
// The first answer after a silence proves the path and measures nothing: its probe may have waited for a
// handshake, which takes a round trip or more. A second probe right behind it measures.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/random.h"
#include "base/time.h"

namespace fortros::mesh {

enum class PathState : std::uint8_t { New, Alive, Suspect, Dead };
std::string_view name_of(PathState state);

inline constexpr Duration path_suspect_after = 2s;
inline constexpr Duration path_dead_after = 5s;
inline constexpr Duration path_new_patience = 10s;
inline constexpr Duration path_new_probe_interval = 1s;
inline constexpr Duration path_suspect_probe_interval = 500ms;
// Of a dead path: 1, 2, 4 ... s.
inline constexpr Duration path_dead_probe_interval = 1s;
inline constexpr Duration path_dead_probe_limit = 10min;
inline constexpr unsigned path_revival_echoes = 3;
inline constexpr Duration path_revival_probe_interval = 500ms;
// No verdict with fewer unanswered probes, however late it is (a machine that slept).
inline constexpr unsigned path_least_probes = 3;
// An answer that comes later is none.
inline constexpr Duration path_probe_patience = 5s;
// So long after an answer the tunnel has a session, and a probe does not wait.
inline constexpr Duration path_session_certain = 10s;
// Probes whose answers are awaited at once; the oldest is forgotten.
inline constexpr std::size_t path_probes_limit = 8;
// WireGuard's own keepalive, 32 bytes, asks for no answer.
inline constexpr std::uint64_t path_keepalive_bytes = 32;
// An Echo in its tunnel, at most: the datagram, IPv6, UDP, padding, and WireGuard's own 32; and a
// handshake, should it need one.
inline constexpr std::uint64_t path_reply_bytes = 512 + 48 + 15 + 32 + 148;

class PathWatch {
public:
    // `state`: New, or Alive for a path that was found at work.
    explicit PathWatch(Instant now, PathState state = PathState::New);

    // --- what happens ---
    // The kernel's counters of this peer on this interface, in bytes since it is there.
    void counted(std::uint64_t tx_bytes, std::uint64_t rx_bytes, Instant now);
    // An Echo is sent on this path. It asks for no answer, so it must not look as if one were missing:
    // two idle nodes would probe each other for ever.
    void replied();
    // An authentic Echo came in on this path; what it is worth, if it answers a probe of this watch.
    enum class Answer : std::uint8_t { None, Proof, Measure };
    Answer echoed(std::uint64_t nonce, Instant now);
    // The other end says that this path is dead from there: both must move.
    void told_dead(Instant now);
    // A probe of the other's came in on this path: one probe of a dead path, now.
    void hinted(Instant now);
    // The underlay has changed: one probe now, and a dead path is probed as if it had just died.
    void moved(Instant now);
    // Somebody wants to know the RTT: one probe of a path that is Alive.
    void measure();

    // --- what follows ---
    // Moves on in time. A nonce: send a Probe with it, now, bound to this path.
    std::optional<std::uint64_t> step(Instant now, Random& random);
    // When step() has something to do although nothing happens; Instant::max() for never.
    Instant next_step() const;

    PathState state() const { return m_state; }
    // Packets may be routed here.
    bool carries() const { return m_state == PathState::Alive || m_state == PathState::Suspect; }
    // Since when it is in this state.
    Instant since() const { return m_since; }
    // Of its last proof of life; absent: never.
    std::optional<Instant> last_echo() const { return m_last_echo; }
    bool echoed_within(Duration time, Instant now) const {
        return m_last_echo && now - *m_last_echo < time;
    }
    // Smoothed as TCP does (RFC 6298, alpha = 1/8), but for less than half of it, which is believed at
    // once; absent before the first measure.
    std::optional<Duration> rtt() const { return m_rtt; }

private:
    struct Probe {
        std::uint64_t nonce = 0;
        Instant sent = Instant::min();  // or: none, or answered
        bool measures = false;          // there was a session when it was sent

        bool waits() const { return sent != Instant::min(); }
    };

    void enter(PathState state, Instant now);
    void advance(Instant now);
    Duration interval() const;
    Instant dead_at() const;
    bool measures_soon(Instant now) const;

    PathState m_state;
    Instant m_since;
    std::optional<std::uint64_t> m_tx_bytes{};
    std::uint64_t m_rx_bytes = 0;
    std::uint32_t m_replies = 0;  // since the counters were last seen
    std::optional<Instant>
        m_unanswered{};  // when the first packet was sent after the last received
    std::optional<Instant> m_next_probe{};  // absent: while Alive
    std::optional<Instant> m_last_probe{};
    unsigned m_probes_in_state = 0;  // sets the back-off of a dead path
    unsigned m_echoes = 0;           // in a row, of a dead path
    bool m_measure = false;
    std::array<Probe, path_probes_limit> m_probes{};
    std::size_t m_oldest = 0;
    std::optional<Duration> m_rtt{};
    std::optional<Instant> m_last_echo{};
};

}  // namespace fortros::mesh
