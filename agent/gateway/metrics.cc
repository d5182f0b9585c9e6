#include "gateway/metrics.h"

#include <algorithm>

#include "core/messages.h"
#include "gateway/feed_query.h"

namespace fortros::gateway {

static constexpr std::string_view targets[] = {enroll_target, join_target, members_target};
static constexpr std::string_view other_target = "other";

// --- answers ---

void AnswerCounts::add(std::string_view target, const Answer& answer) {
    const auto path = target.substr(0, target.find('?'));
    const auto* known = std::ranges::find(targets, path);
    ++m_by_target[{known == std::end(targets) ? other_target : *known, answer.status}];
    if (answer.refusal) ++m_by_refusal[*answer.refusal];
    if (answer.progress) ++m_by_progress[*answer.progress];
}

MetricFamily AnswerCounts::by_target() const {
    MetricFamily family{"fortros_gateway_requests_total", MetricType::Counter,
                        "Requests of nodes that were answered, by target and HTTP status."};
    for (const auto& [key, count] : m_by_target)
        family.samples.push_back(
            {{{"target", std::string(key.first)}, {"status", std::to_string(key.second)}}, count});
    return family;
}

MetricFamily AnswerCounts::by_refusal() const {
    MetricFamily family{"fortros_gateway_refusals_total", MetricType::Counter,
                        "Answers other than 200 and 204 to nodes, by the code in them."};
    for (const auto& [code, count] : m_by_refusal)
        family.samples.push_back({{{"code", std::string(name_of(code))}}, count});
    return family;
}

std::int64_t AnswerCounts::of(Progress progress) const {
    const auto found = m_by_progress.find(progress);
    return found == m_by_progress.end() ? 0 : found->second;
}

// --- all of them ---

static std::int64_t seconds_of(WallTime time) { return time.time_since_epoch().count(); }

namespace {

class Families {
public:
    void counter(std::string_view name, std::string help, std::int64_t value) {
        add(name, MetricType::Counter, std::move(help)).samples = {{{}, value}};
    }
    void gauge(std::string_view name, std::string help, std::int64_t value) {
        add(name, MetricType::Gauge, std::move(help)).samples = {{{}, value}};
    }
    // Nothing is not nought: what is not known has no sample.
    void gauge(std::string_view name, std::string help, std::optional<std::int64_t> value) {
        if (value) gauge(name, std::move(help), *value);
    }
    void by_label(std::string_view name, MetricType type, std::string help, std::string_view label,
                  const CountByName& counts) {
        auto& family = add(name, type, std::move(help));
        for (const auto& [value, count] : counts)
            family.samples.push_back({{{std::string(label), value}}, count});
    }
    void take(MetricFamily family) { m_families.push_back(std::move(family)); }

    std::vector<MetricFamily> families() { return std::move(m_families); }

private:
    MetricFamily& add(std::string_view name, MetricType type, std::string help) {
        m_families.push_back({"fortros_gateway_" + std::string(name), type, std::move(help)});
        return m_families.back();
    }
    std::vector<MetricFamily> m_families{};
};

}  // namespace

static void add_traffic(Families& all, const Metrics& now) {
    all.take(now.connections.answers.by_target());
    all.take(now.connections.answers.by_refusal());
    all.counter("enrolments_total", "Nodes that became members here.",
                now.connections.answers.of(Progress::Enrolled));
    all.counter("joins_total", "Members that came back and were let in.",
                now.connections.answers.of(Progress::Joined));
    all.counter("approvals_asked_total", "Newcomers that began to wait for an administrator.",

                now.connections.answers.of(Progress::BeganToWait));
    all.counter("connections_accepted_total", "TCP connections of nodes that were accepted.",
                now.connections.accepted);
    all.counter("handshakes_total", "TLS handshakes that were begun.", now.connections.handshakes);
    all.by_label("connection_failures_total", MetricType::Counter,
                 "Connections that were turned away or given up, by reason.", "reason",
                 now.connections.failures);
    all.by_label("connections", MetricType::Gauge, "Connections of nodes, by what they are at.",
                 "state", now.connections.by_state);
    all.gauge("door_waiting", "Connections that wait for their turn to shake hands.",
              now.connections.door_waiting);
    all.gauge("write_queue_length", "Requests that wait to be written to the registry.",
              now.write_queue);
    all.gauge("feed_pollers", "Members that wait for news of other members.", now.feed_pollers);
}

static void add_registry(Families& all, const Metrics& now) {
    all.gauge("members", "Members of the organisation.", now.members);
    all.gauge("waiting_nodes", "Newcomers that wait for an administrator.",
              now.waiting_for_approval);
    all.gauge("registry_revision", "The newest change of any member's record.",
              now.registry_revision);
    all.gauge("applied_revision", "The newest such change that WireGuard was told of by others.",
              now.applied_revision);
    all.gauge("wireguard_peers", "Peers that WireGuard has, as far as is known.",
              now.wireguard_peers);
}

static void add_condition(Families& all, const Metrics& now) {
    MetricFamily ends{"fortros_gateway_certificate_expiry_timestamp_seconds", MetricType::Gauge,
                      "When the first certificate in a file expires."};
    for (const auto& certificate : now.certificates)
        ends.samples.push_back({{{"file", certificate.file}}, seconds_of(certificate.not_after)});
    all.take(std::move(ends));
    MetricFamily ready{"fortros_gateway_ready", MetricType::Gauge,
                       "Whether what a gateway needs is there, as at /readyz."};
    for (const auto& check : now.checks)
        ready.samples.push_back({{{"check", check.name}}, check.problem.empty() ? 1 : 0});
    all.take(std::move(ready));
    all.by_label("failures_total", MetricType::Counter,
                 "What has failed besides single requests; the log has the words.", "part",
                 now.failures);
    all.counter("reloads_total", "Reloads of certificates and keys that were asked for.",
                now.reloads);
    all.gauge("last_reload_successful", "Whether the last reload was: 0 means the old ones serve.",
              now.reload_successful ? 1 : 0);
    all.gauge("credentials_loaded_timestamp_seconds", "When certificates and keys were last read.",
              seconds_of(now.credentials_loaded));
    all.gauge("start_timestamp_seconds", "When this process began to serve.",
              seconds_of(now.started));
}

std::vector<MetricFamily> families_of(const Metrics& metrics) {
    Families all;
    add_traffic(all, metrics);
    add_registry(all, metrics);
    add_condition(all, metrics);
    return all.families();
}

}  // namespace fortros::gateway
