#include "gateway/operating_lane.h"

#include <algorithm>

#include "gateway/operating.h"

namespace fortros::gateway {

// Shorter than what operators' programs wait for an answer.
static constexpr Duration patience = 1s;

OperatingLane::OperatingLane(Parts parts, Metrics first)
    : m_parts(std::move(parts)), m_last(std::move(first)) {}

void OperatingLane::handle(Request request, Reply reply) {
    if (!asks_how_things_are(request))
        return reply(answer_operator(request, {.metrics = {}, .silence = m_parts.silence()}));
    const auto number = m_next++;
    auto& asker =
        m_askers.try_emplace(number, std::move(request), std::move(reply), m_parts.connections())
            .first->second;
    asker.patience = m_parts.loop.after(patience, [this, number] { lose_patience(number); });
    m_parts.ask([this, number](Metrics metrics) { told(number, std::move(metrics)); });
}

void OperatingLane::told(std::uint64_t number, Metrics metrics) {
    m_last = metrics;
    answer(number, std::move(metrics));
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
