#include "core/detours.h"

#include <algorithm>

namespace fortros {

bool Uplink::leads_to(const IpAddress& address) const {
    const auto is_alike = [&](const IpAddress& it) { return it.family() == address.family(); };
    return std::ranges::any_of(routers, is_alike) ||
           std::ranges::any_of(networks, [&](const IpNetwork& it) { return it.contains(address); });
}

std::vector<Uplink> ways_to(const IpAddress& address, std::span<const Uplink> links) {
    std::vector<Uplink> ways;
    for (const Uplink& link : links)
        if (link.leads_to(address)) ways.push_back(link);
    if (ways.size() < 2) ways.clear();
    return ways;
}

void Detours::add(const Candidate& candidate, std::span<const Uplink> links, Instant due) {
    for (const Uplink& link : links) {
        const Candidate detour{candidate.endpoint, candidate.source, link.ifindex};
        const auto is_same = [&](const Waiting& it) {
            return it.candidate.endpoint == detour.endpoint &&
                   it.candidate.ifindex == detour.ifindex;
        };
        if (std::ranges::none_of(m_waiting, is_same)) m_waiting.push_back({detour, due});
    }
}

void Detours::put_back(const Candidate& detour) {
    m_waiting.insert(m_waiting.begin(), {detour, Instant::min()});
}

void Detours::leave_out(const Endpoint& endpoint, unsigned ifindex) {
    std::erase_if(m_waiting, [&](const Waiting& it) {
        return it.candidate.endpoint == endpoint && it.candidate.ifindex == ifindex;
    });
}

void Detours::forget(const Endpoint& endpoint) {
    std::erase_if(m_waiting, [&](const Waiting& it) { return it.candidate.endpoint == endpoint; });
}

void Detours::hurry(const Endpoint& endpoint, Instant now) {
    for (Waiting& it : m_waiting)
        if (it.candidate.endpoint == endpoint) it.due = std::min(it.due, now);
}

void Detours::hold_back(Instant until) {
    for (Waiting& it : m_waiting) it.due = std::max(it.due, until);
}

bool Detours::has(Source source) const {
    return std::ranges::any_of(m_waiting,
                               [&](const Waiting& it) { return it.candidate.source == source; });
}

std::optional<Instant> Detours::next_due() const {
    if (m_waiting.empty()) return std::nullopt;
    return std::ranges::min_element(m_waiting, {}, &Waiting::due)->due;
}

Candidate Detours::take() {
    const auto next = std::ranges::min_element(m_waiting, {}, &Waiting::due);
    const Candidate taken = next->candidate;
    m_waiting.erase(next);
    return taken;
}

}  // namespace fortros
