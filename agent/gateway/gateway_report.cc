#include <algorithm>

#include "gateway/gateway_parts.h"
#include "gateway/relay.h"
#include "os/clock.h"

namespace fortros::gateway {

// A registry that has kept us waiting for so long in vain is left alone for a while: nodes are waiting.
static constexpr Duration long_look = 500ms;
static constexpr int pause_for_a_look = 5;

static CountByName named(const std::map<std::string_view, std::int64_t>& counts) {
    CountByName names;
    for (const auto& [name, count] : counts) names.emplace_back(name, count);
    return names;
}

static std::int64_t count_of(std::size_t size) { return static_cast<std::int64_t>(size); }

// --- the registry ---

Gateway::RegistryView Gateway::registry_now() {
    RegistryView view;
    const auto members = m_registry->count_members();
    const auto history =
        members ? m_registry->history() : Result<History>(std::unexpected(members.error()));
    if (!history) {
        view.problem = history.error().text();
        return view;
    }
    view.members = count_of(*members);
    view.revision = static_cast<std::int64_t>(history->newest);
    if (const auto waiting = m_registry->waiting(wall_now()))
        view.waiting = std::ranges::count_if(
            *waiting, [](const WaitingRecord& node) { return !node.rejected; });
    return view;
}

const Gateway::RegistryView& Gateway::look_at_registry() {
    const Instant begin = monotonic_now();
    if (begin < m_next_look) return m_registry_view;
    m_registry_view = registry_now();
    const Instant end = monotonic_now();
    if (!m_registry_view.problem.empty() && end - begin >= long_look)
        m_next_look = end + pause_for_a_look * (end - begin);
    return m_registry_view;
}

// --- what operators are told ---

std::vector<Check> Gateway::checks() {
    const auto now = wall_now();
    std::string certificates = problem_of(m_credentials, now);
    const std::string& registry = look_at_registry().problem;
    // It is what every answer needs: a disowned signer shows here.
    if (certificates.empty() && registry.empty())
        if (const auto document = m_admission->issuer().document(now); !document)
            certificates = document.error().text();
    return {{"serving", m_is_stopping ? "stopping" : ""},
            {"registry", registry},
            {"tunnels", m_tunnels_problem},
            {"relay", m_settings.manage ? relay_problem(m_settings) : ""},
            {"certificates", std::move(certificates)}};
}

Metrics Gateway::metrics() {
    const RegistryView& registry = look_at_registry();
    Metrics metrics{.started = m_started,
                    .write_queue = count_of(m_writes->size()),
                    .feed_pollers = count_of(m_feed->waiting()),
                    .members = registry.members,
                    .waiting_for_approval = registry.waiting,
                    .registry_revision = registry.revision,
                    .applied_revision = static_cast<std::int64_t>(m_applied_revision),
                    .wireguard_peers = count_of(m_tunnels->count()),
                    .checks = checks(),
                    .failures = named(m_failures),
                    .reloads = m_reloads,
                    .reload_successful = m_reload_successful,
                    .credentials_loaded = m_credentials_loaded};
    std::map<std::string, WallTime> ends;
    for (const auto& validity : m_credentials.validities) {
        auto& end = ends.try_emplace(validity.file, validity.not_after).first->second;
        end = std::min(end, validity.not_after);
    }
    for (const auto& [file, end] : ends) metrics.certificates.push_back({file, end});
    return metrics;
}

ConnectionNumbers Gateway::connection_numbers() const {
    const auto& server = m_server->counts();
    return {.answers = m_answers,
            .accepted = server.accepted,
            .handshakes = server.handshakes,
            .failures = named(server.failures),
            .by_state = named(m_server->connections()),
            .door_waiting = count_of(m_server->door().waiting())};
}

// It ticks every second unless it is at something.
Duration Gateway::silence() const { return monotonic_now() - m_last_turn.load(); }

}  // namespace fortros::gateway
