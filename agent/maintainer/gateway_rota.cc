#include "maintainer/gateway_rota.h"

#include <algorithm>

namespace fortros {

GatewayRota::Entry* GatewayRota::find(const Endpoint& endpoint) {
    const auto found = std::ranges::find(m_entries, endpoint, &Entry::endpoint);
    return found == m_entries.end() ? nullptr : &*found;
}

void GatewayRota::learn(const std::vector<Endpoint>& endpoints) {
    for (const Endpoint& endpoint : endpoints) {
        if (find(endpoint)) continue;
        if (m_entries.size() == rota_limit) {
            const auto silent = std::ranges::find(m_entries, false, &Entry::has_answered);
            if (silent == m_entries.end()) return;
            m_entries.erase(silent);
        }
        m_entries.push_back({.endpoint = endpoint});
    }
}

std::optional<GatewayRota::Turn> GatewayRota::next(Instant now) const {
    if (m_entries.empty()) return std::nullopt;
    // The first whose pause is over, or whose is over first.
    const Entry* best = &m_entries.front();
    for (const Entry& entry : m_entries)
        if (std::max(entry.not_before, now) < std::max(best->not_before, now)) best = &entry;
    return Turn{best->endpoint, std::max(best->not_before, now)};
}

void GatewayRota::answered(const Endpoint& endpoint) {
    const auto found = std::ranges::find(m_entries, endpoint, &Entry::endpoint);
    if (found == m_entries.end()) return;
    found->failures = 0;
    found->has_answered = true;
    found->asked_for_patience = false;
    found->not_before = {};
    std::rotate(m_entries.begin(), found, found + 1);
}

// Half of it is chance.
Duration GatewayRota::jittered(Duration pause) {
    return pause / 2 + Duration{static_cast<std::int64_t>(m_random.unit() *
                                                          static_cast<double>(pause.count()) / 2)};
}

void GatewayRota::failed(const Endpoint& endpoint, std::optional<Duration> retry_after,
                         Instant now) {
    Entry* entry = find(endpoint);
    if (!entry) return;
    Duration pause = rota_pause_min;
    for (unsigned i = 0; i < entry->failures && pause < rota_pause_max; ++i) pause *= 2;
    ++entry->failures;
    entry->asked_for_patience = retry_after.has_value();
    entry->not_before = retry_after ? now + *retry_after + jittered(*retry_after) / 5
                                    : now + jittered(std::min(pause, rota_pause_max));
}

void GatewayRota::start_over(Instant now) {
    for (Entry& entry : m_entries) {
        if (entry.asked_for_patience || entry.failures == 0) continue;
        entry.failures = 0;
        entry.not_before = now + jittered(rota_pause_min);
    }
}

std::vector<Endpoint> GatewayRota::endpoints() const {
    std::vector<Endpoint> endpoints;
    for (const Entry& entry : m_entries) endpoints.push_back(entry.endpoint);
    return endpoints;
}

}  // namespace fortros
