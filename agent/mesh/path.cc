#include "mesh/path.h"

#include <algorithm>

namespace fortros::mesh {

std::string_view name_of(PathState state) {
    switch (state) {
        case PathState::New: return "new";
        case PathState::Alive: return "alive";
        case PathState::Suspect: return "suspect";
        case PathState::Dead: return "dead";
    }
    return "?";
}

PathWatch::PathWatch(Instant now, PathState state) : m_state(state), m_since(now) {
    enter(state, now);
}

// --- what happens ---

void PathWatch::counted(std::uint64_t tx_bytes, std::uint64_t rx_bytes, Instant now) {
    // The first look, or the kernel's peer was made anew: nothing to compare with.
    const bool comparable = m_tx_bytes && tx_bytes >= *m_tx_bytes && rx_bytes >= m_rx_bytes;
    const std::uint64_t asks_nothing = path_keepalive_bytes + m_replies * path_reply_bytes;
    const bool sent = comparable && tx_bytes - *m_tx_bytes > asks_nothing;
    const bool tx_grew = comparable && tx_bytes - *m_tx_bytes > path_keepalive_bytes;
    const bool received = comparable && rx_bytes > m_rx_bytes;
    m_tx_bytes = tx_bytes;
    m_rx_bytes = rx_bytes;
    // A reply that is not sent yet is still to be counted.
    if (tx_grew) m_replies = 0;
    if (received) {
        m_unanswered.reset();
        if (m_state == PathState::Suspect) enter(PathState::Alive, now);
    } else if (sent && !m_unanswered) {
        m_unanswered = now;
    }
}

void PathWatch::replied() { m_replies = std::min(m_replies + 1, 8U); }

PathWatch::Answer PathWatch::echoed(std::uint64_t nonce, Instant now) {
    const auto probe = std::ranges::find_if(
        m_probes, [&](const Probe& it) { return it.waits() && it.nonce == nonce; });
    if (probe == m_probes.end() || now - probe->sent > path_probe_patience) return Answer::None;
    const Duration sample = now - probe->sent;
    const bool is_measure = probe->measures;
    *probe = {};
    // Less than half of what is believed is no jitter: then a host was busy, or the way was longer.
    if (is_measure)
        m_rtt = m_rtt && sample >= *m_rtt / 2 ? (*m_rtt * 7 + sample) / 8 : sample;
    else if (!measures_soon(now))
        m_measure = true;
    m_last_echo = now;
    m_unanswered.reset();
    if (m_state == PathState::Dead) {
        if (++m_echoes >= path_revival_echoes)
            enter(PathState::Alive, now);
        else
            m_next_probe = *m_last_probe + path_revival_probe_interval;
    } else if (m_state != PathState::Alive) {
        enter(PathState::Alive, now);
    }
    return is_measure ? Answer::Measure : Answer::Proof;
}

void PathWatch::told_dead(Instant now) {
    if (m_state != PathState::Dead) enter(PathState::Dead, now);
}

void PathWatch::hinted(Instant now) {
    if (m_state != PathState::Dead) return;
    const Instant earliest = m_last_probe ? *m_last_probe + path_dead_probe_interval : now;
    m_next_probe = std::min(*m_next_probe, std::max(now, earliest));
}

void PathWatch::moved(Instant now) {
    m_measure = true;
    if (m_state == PathState::Alive) return;
    m_probes_in_state = 0;
    m_next_probe = now;
    if (m_state == PathState::New) m_since = now;
}

void PathWatch::measure() { m_measure = true; }

// --- what follows ---

std::optional<std::uint64_t> PathWatch::step(Instant now, Random& random) {
    advance(now);
    const bool due = m_next_probe ? now >= *m_next_probe : m_measure;
    if (!due) return std::nullopt;
    m_measure = false;
    m_last_probe = now;
    m_probes_in_state = std::min(m_probes_in_state + 1, 64U);
    if (m_state != PathState::Alive) m_next_probe = now + interval();
    ByteArray<8> bytes;
    random.fill(bytes);
    Probe& probe = m_probes[m_oldest];
    m_oldest = (m_oldest + 1) % m_probes.size();
    probe = {.nonce = ByteReader(bytes).u64(),
             .sent = now,
             .measures = m_last_echo && now - *m_last_echo <= path_session_certain};
    return probe.nonce;
}

Instant PathWatch::next_step() const {
    if (m_state == PathState::Alive) {
        if (m_measure) return Instant{};
        return m_unanswered ? *m_unanswered + path_suspect_after : Instant::max();
    }
    const bool has_verdict = m_state != PathState::Dead && m_probes_in_state >= path_least_probes;
    return has_verdict ? std::min(*m_next_probe, dead_at()) : *m_next_probe;
}

// --- steps of all of them ---

void PathWatch::enter(PathState state, Instant now) {
    m_state = state;
    m_since = now;
    m_probes_in_state = 0;
    m_echoes = 0;
    switch (state) {
        case PathState::Alive: m_next_probe.reset(); break;
        case PathState::New:
        case PathState::Suspect: m_next_probe = now; break;
        case PathState::Dead:
            m_next_probe = now + path_dead_probe_interval;
            m_unanswered.reset();
            // What was asked before does not bring it back.
            m_probes = {};
            break;
    }
}

void PathWatch::advance(Instant now) {
    if (m_state == PathState::Alive && m_unanswered && now >= *m_unanswered + path_suspect_after)
        enter(PathState::Suspect, now);
    const bool is_on_trial = m_state == PathState::New || m_state == PathState::Suspect;
    if (is_on_trial && m_probes_in_state >= path_least_probes && now >= dead_at())
        enter(PathState::Dead, now);
    const bool is_missed =
        m_state == PathState::Dead && std::ranges::any_of(m_probes, [&](const Probe& it) {
            return it.waits() && now - it.sent > path_probe_patience;
        });
    if (!is_missed) return;
    m_echoes = 0;
    for (Probe& it : m_probes)
        if (it.waits() && now - it.sent > path_probe_patience) it = {};
}

// Of a path that is on trial. The last probe gets its chance.
Instant PathWatch::dead_at() const {
    if (m_state == PathState::New) return m_since + path_new_patience;
    const Instant first = m_unanswered.value_or(m_since);
    return std::max(first + path_dead_after, *m_last_probe + path_suspect_probe_interval);
}

// A probe is on its way that will measure.
bool PathWatch::measures_soon(Instant now) const {
    return std::ranges::any_of(m_probes, [&](const Probe& it) {
        return it.measures && it.waits() && now - it.sent <= path_probe_patience;
    });
}

Duration PathWatch::interval() const {
    switch (m_state) {
        case PathState::New: return path_new_probe_interval;
        case PathState::Suspect: return path_suspect_probe_interval;
        case PathState::Alive: break;
        case PathState::Dead: {
            if (m_echoes > 0) return path_revival_probe_interval;
            static constexpr unsigned most_doublings = 10;
            const unsigned doublings = std::min(m_probes_in_state, most_doublings);
            return std::min(path_dead_probe_interval * (1U << doublings), path_dead_probe_limit);
        }
    }
    return Duration::max();
}

}  // namespace fortros::mesh
