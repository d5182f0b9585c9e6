#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "gateway/gateway_parts.h"
#include "gateway/tls_session.h"
#include "os/clock.h"

namespace fortros::gateway {

static constexpr Duration reconcile_interval = 10min;
static constexpr Duration rotation_interval = 5s;
// Of the time at most this part goes into it.
static constexpr int reconcile_share = 20;
static constexpr Duration validity_interval = 12h;
static constexpr Duration renewal_interval = 1min;
// A gateway that has said nothing for so long is told of to nobody any more.
static constexpr std::chrono::minutes announcement_life{60};
static constexpr Duration announcement_interval = 15min;
static constexpr Duration announcement_retry = 1min;

void Gateway::warn(std::string_view part, const Error& error) {
    ++m_failures[part];
    if (!m_warnings.allow(wall_now())) return;
    m_log.write({Level::Error,
                 std::string(part) + "-failed",
                 error.text(),
                 {{"not_logged_before", static_cast<std::int64_t>(m_warnings.take_unsaid())}}});
}

void Gateway::report_credentials() {
    for (const auto& warning : m_credentials.warnings)
        m_log.write({Level::Warning, "credentials", warning});
    report_validities();
}

void Gateway::report_validities() {
    m_next_validity_report = monotonic_now() + validity_interval;
    const auto now = wall_now();
    for (const auto& validity : m_credentials.validities) {
        const auto state = state_of(validity, now);
        if (state == ValidityState::Good) continue;
        m_log.write({state == ValidityState::DueForRenewal ? Level::Warning : Level::Error,
                     "certificate",
                     describe(validity, now),
                     {{"file", validity.file}}});
    }
}

void Gateway::on_signal() {
    signalfd_siginfo signal{};
    if (::read(m_signals.get(), &signal, sizeof(signal)) != sizeof(signal)) return;
    if (signal.ssi_signo != SIGHUP) return stop();
    if (m_is_stopping) return;
    m_manager.tell_reloading();
    m_to_desk->put([this] { reload(); });
}

void Gateway::stop() {
    m_is_stopping = true;
    m_manager.tell("STOPPING=1\nSTATUS=finishing what has begun");
    m_log.write({Level::Notice, "stopping", "stopping: finishing what has begun"});
    m_to_desk->put([this] { m_feed->stop(); });
    m_server->stop([this] { m_edge->stop(); });
}

// As after a power cut: what was acknowledged is on the disk.
void Gateway::give_up() {
    m_log.write({Level::Error, "stop-failed",
                 "at the same step for " + to_text(silence()) +
                     ", of the registry or the kernel: ends without it"});
    ::_exit(static_cast<int>(ExitCode::Failure));
}

// Connections that there are go on as they began; those that begin see the new certificate.
void Gateway::reload() {
    ++m_reloads;
    auto tls = take_new_credentials();
    m_reload_successful = tls.has_value();
    if (tls) return serve_with(std::move(*tls));
    ++m_failures["reload"];
    m_log.write({Level::Error, "reload-failed",
                 "the old certificates and keys stay: " + tls.error().text()});
    m_to_edge->put([this, why = tls.error().text()] { say_ready("not reloaded: " + why); });
}

// By way of the edge: it is said when it is so.
void Gateway::serve_with(OpenSsl<SSL_CTX> tls) {
    report_credentials();
    m_to_edge->put([this, tls = std::move(tls)]() mutable {
        m_server->set_tls(std::move(tls));
        m_log.write({Level::Notice, "reloaded", "serves with the certificates and keys of now"});
        say_ready("serves on" + m_places);
    });
}

// Of the edge, which knows whether it ends: its manager is told nothing else then.
void Gateway::say_ready(const std::string& status) {
    if (!m_is_stopping) m_manager.tell("READY=1\nSTATUS=" + status);
}

// All of them or none.
Result<OpenSsl<SSL_CTX>> Gateway::take_new_credentials() {
    auto next = TRY(load_credentials(m_settings));
    TRY(check_successor(m_credentials, next, wall_now()));
    if (next.signer->facts().not_before < TRY(m_registry->policy()).signers_since)
        return fail(ErrorCode::Untrusted, "the organisation has disowned the signer of '" +
                                              m_settings.signer_certificate + "'");
    auto tls = TRY(make_tls_context(next.chain, next.key.get()));
    m_signer.set(std::move(next.signer));
    m_credentials = std::move(next);
    m_credentials_loaded = wall_now();
    return tls;
}

void Gateway::on_tick() {
    std::uint64_t ticks = 0;
    [[maybe_unused]] const auto size = ::read(m_ticker.get(), &ticks, sizeof(ticks));
    const Instant now = monotonic_now();
    m_last_turn = now;
    // The edge says it: both loops turn.
    if (m_manager.wants_watchdog()) m_to_edge->put([this] { m_manager.tell_alive(); });
    if (now >= m_next_validity_report) report_validities();
    if (now >= m_next_reconcile) m_must_reconcile = true;
    m_feed->forget_gone();
    follow_registry();
    if (now >= m_next_announcement) announce();
    if (now >= m_next_renewal) renew_lighthouses();
}

// Level-triggered: whatever failed is done again at the next tick.
void Gateway::follow_registry() {
    auto changed = m_watch->changed();
    if (!changed) return warn("registry", changed.error());
    if (!m_must_reconcile && !*changed) return;
    auto status = m_must_reconcile ? bring_in_line() : apply_changes();
    m_must_reconcile = !status;
    m_tunnels_problem = status ? "" : status.error().text();
    if (!status) warn("tunnels", status.error());
    // Somebody may have become one just now, after a year without a join.
    renew_lighthouses();
}

void Gateway::renew_lighthouses() {
    m_next_renewal = monotonic_now() + renewal_interval;
    const auto now = wall_now();
    if (auto status = m_admission->backbone().renew_due(now); !status)
        warn("renewal", status.error());
    m_feed->look(now);
}

// To the other gateways of the org, which tell nodes of this one.
void Gateway::announce() {
    const auto status = announce_self();
    m_next_announcement = monotonic_now() + (status ? announcement_interval : announcement_retry);
    if (!status) warn("announcement", status.error());
}

Status Gateway::announce_self() {
    if (m_settings.etcd.endpoints.empty()) return {};  // there are no others
    const auto now = wall_now();
    GatewayRecord self{.key = m_credentials.wireguard_public,
                       .endpoints = m_settings.endpoints,
                       .serves_until = now + announcement_life};
    for (const auto& certificate : m_credentials.chain)
        self.chain.push_back(TRY(der_of(certificate.get())));
    if (self.chain.size() > gateway_chain_limit)
        return fail(ErrorCode::InvalidSettings,
                    "'" + m_settings.certificate + "' holds more than " +
                        std::to_string(gateway_chain_limit) +
                        " certificates: other gateways cannot be told of this one");
    return m_registry->announce_gateway(self, now);
}

Status Gateway::bring_in_line() {
    const Instant begin = monotonic_now();
    const auto nodes = TRY(m_registry->nodes_since(0));
    TRY(m_tunnels->reconcile(nodes));
    if (!nodes.empty()) m_applied_revision = nodes.back().revision;
    // While a key is rotated, nodes move from one interface to the other.
    const Duration interval = m_credentials.previous ? rotation_interval : reconcile_interval;
    const Instant end = monotonic_now();
    m_next_reconcile = end + std::max(interval, reconcile_share * (end - begin));
    return {};
}

// Our own enrolments are among them: their peers are there already.
Status Gateway::apply_changes() {
    for (const auto& node : TRY(m_registry->nodes_since(m_applied_revision))) {
        if (!node.is_member()) {
            TRY(m_tunnels->remove(node.key));
            m_log.write({Level::Notice,
                         "node-removed",
                         node.overlay_address.text() +
                             (node.revoked ? " is revoked" : " is retired") +
                             ": its tunnel is closed",
                         {{"node", node.key.base64()}}});
        } else if (!m_tunnels->contains(node.key)) {
            TRY(m_tunnels->ensure(node));
        }
        m_applied_revision = node.revision;
    }
    return {};
}

}  // namespace fortros::gateway
