#include "gateway/operating_lane.h"

#include <algorithm>

#include "gateway/operating.h"

namespace fortros::gateway {

// Shorter than what operators' programs wait for an answer.
static constexpr Duration patience = 1s;
// As many as the lane has places: if there are more, some of them have gone.
static constexpr std::size_t askers_limit = 16;

OperatingLane::OperatingLane(Parts parts, Metrics first)
    : m_parts(std::move(parts)), m_last(std::move(first)) {}

void OperatingLane::handle(Request request, Reply reply) {
    if (!asks_how_things_are(request))
        return reply(answer_operator(request, {.metrics = {}, .silence = m_parts.silence()}));
    if (m_askers.size() >= askers_limit) lose_patience(m_askers.begin()->first);
    const auto number = m_next++;
    auto& asker =
        m_askers.try_emplace(number, std::move(request), std::move(reply), m_parts.connections())
            .first->second;
    asker.patience = m_parts.loop.after(patience, [this, number] { lose_patience(number); });
    ask();
}

void OperatingLane::ask() {
    if (std::exchange(m_is_asking, true)) return;
    m_parts.ask([this](const Metrics& metrics) { told(metrics); });
}

// Whoever has asked meanwhile as well.
void OperatingLane::told(const Metrics& metrics) {
    m_is_asking = false;
    m_last = metrics;
    const auto next = m_next;  // not those that ask because of an answer
    while (!m_askers.empty() && m_askers.begin()->first < next)
        answer(m_askers.begin()->first, metrics);
}

// What lasts is a call to the registry's store, or to the kernel for the tunnels.
void OperatingLane::lose_patience(std::uint64_t number) {
    Metrics metrics = m_last;
    auto registry = std::ranges::find(metrics.checks, "registry", &Check::name);
    if (registry == metrics.checks.end())
        registry = metrics.checks.insert(metrics.checks.end(), Check{"registry"});
    registry->problem = "the gateway is waiting for it, and has not been heard of for " +
                        to_text(m_parts.silence());
    answer(number, std::move(metrics));
}

// Whose patience was over has been answered.
void OperatingLane::answer(std::uint64_t number, Metrics metrics) {
    const auto found = m_askers.find(number);
    if (found == m_askers.end()) return;
    Asker asker = std::move(found->second);
    m_askers.erase(found);
    metrics.connections = asker.connections;
    asker.reply(answer_operator(asker.request, {.metrics = metrics, .silence = m_parts.silence()}));
}

}  // namespace fortros::gateway
