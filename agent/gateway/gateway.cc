#include "gateway/gateway.h"

#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <optional>

#include "gateway/admission.h"
#include "gateway/credentials.h"
#include "gateway/http_server.h"
#include "gateway/kernel_tunnels.h"
#include "gateway/listener.h"
#include "gateway/registry_watch.h"
#include "gateway/sqlite_registry.h"
#include "gateway/tls_session.h"
#include "os/clock.h"
#include "os/loop.h"
#include "os/random.h"

namespace fortros::gateway {

// A request never waits longer for an admin command that holds the database.
static constexpr Duration busy_timeout = 500ms;
static constexpr Duration tick = 1s;
static constexpr Duration reconcile_interval = 10min;
static constexpr Duration validity_interval = 12h;
static constexpr std::uint32_t warnings_per_minute = 6;

namespace {

// The parts in the order in which they are made; they end in the opposite one.
class Gateway {
public:
    Gateway(const GatewaySettings& settings, Log& log) : m_settings(settings), m_log(log) {}
    Gateway(const Gateway&) = delete;
    Gateway& operator=(const Gateway&) = delete;

    Outcome<void> prepare();
    Outcome<void> run();

private:
    Status make_tunnels();
    Status make_chores();
    Status watch(int fd, std::function<void()> ready);

    void handle(const Request& request, const Reply& reply);
    void report_validities();
    void on_signal();
    void on_tick();
    void follow_registry();
    Status bring_in_line();
    Status apply_changes();
    void warn(std::string event, const Error& error);

    const GatewaySettings& m_settings;
    Log& m_log;
    KernelRandom m_random;
    Credentials m_credentials{};
    std::unique_ptr<SqliteRegistry> m_registry;
    std::unique_ptr<Tunnels> m_tunnels;
    std::optional<Admission> m_admission;
    std::optional<RegistryWatch> m_watch;
    Fd m_signals;
    Fd m_ticker;
    std::unique_ptr<HttpServer> m_server;

    std::uint64_t m_applied_revision = 0;  // of the registry, in the tunnels
    bool m_must_reconcile = false;         // the tunnels may differ from the registry
    RateLimit m_warnings{warnings_per_minute};
    Instant m_next_reconcile{};
    Instant m_next_validity_report{};
};

}  // namespace

void Gateway::warn(std::string event, const Error& error) {
    if (!m_warnings.allow(wall_now())) return;
    m_log.write({Level::Error,
                 std::move(event),
                 error.text(),
                 {{"not_logged_before", static_cast<std::int64_t>(m_warnings.take_unsaid())}}});
}

// --- coming up ---

Outcome<void> Gateway::prepare() {
    TRY(or_exit(ExitCode::Failure, wait_for_entropy(m_log)));
    TRY(or_exit(ExitCode::Failure, crypto::initialise()));
    m_credentials = TRY(or_exit(ExitCode::Credentials, load_credentials(m_settings)));
    for (const auto& warning : m_credentials.warnings)
        m_log.write({Level::Warning, "credentials", warning});
    report_validities();

    m_registry =
        TRY(or_exit(ExitCode::Database,
                    SqliteRegistry::open(m_settings.database, m_settings.prefix, busy_timeout)));
    TRY(or_exit(ExitCode::Database, m_registry->check_integrity()));
    m_watch =
        TRY(or_exit(ExitCode::Database, RegistryWatch::create(*m_registry, m_settings.database)));

    TRY(or_exit(ExitCode::WireGuard, make_tunnels()));
    TRY(or_exit(ExitCode::WireGuard, bring_in_line()));

    m_admission.emplace(GatewaySelf{.prefix = m_settings.prefix,
                                    .domain = m_settings.domain,
                                    .private_key = m_credentials.wireguard_key.duplicate(),
                                    .public_key = m_credentials.wireguard_public,
                                    .endpoints = m_settings.endpoints,
                                    .keepalive_seconds = m_settings.keepalive_seconds},
                        Admission::Parts{.registry = *m_registry,
                                         .tunnels = *m_tunnels,
                                         .signer = *m_credentials.signer,
                                         .random = m_random,
                                         .log = m_log});
    // With a wrong clock or a full disk nobody can be admitted; the tunnels that there are still
    // work, and both may be mended without a restart.
    if (auto status = m_admission->attest_self(wall_now()); !status)
        warn("attestation-failed", status.error());

    std::vector<Fd> listeners;
    for (const auto& endpoint : m_settings.listen)
        listeners.push_back(TRY(or_exit(ExitCode::Listen, listen_on(endpoint))));
    auto tls = TRY(or_exit(ExitCode::Credentials,
                           make_tls_context(m_credentials.chain, m_credentials.key.get())));
    m_server = TRY(
        or_exit(ExitCode::Failure,
                HttpServer::create(
                    std::move(listeners), std::move(tls),
                    [this](const Request& request, const Reply& reply) { handle(request, reply); },
                    m_log)));
    return or_exit(ExitCode::Failure, make_chores());
}

Status Gateway::make_tunnels() {
    if (!m_settings.manage) {
        m_log.write({Level::Warning, "wireguard-unmanaged",
                     "WireGuard is NOT managed (Manage=no): nodes are told yes and get no tunnel"});
        m_tunnels = std::make_unique<NoTunnels>();
        return {};
    }
    if (m_settings.guard == GuardMode::None)
        m_log.write({Level::Warning, "unguarded",
                     "Guard=none: plaintext packets with overlay addresses are not kept out"});
    m_tunnels = TRY(KernelTunnels::create({.prefix = m_settings.prefix,
                                           .listen_port = m_settings.listen_port,
                                           .mtu = m_settings.mtu,
                                           .guard = m_settings.guard},
                                          m_credentials.wireguard_key.duplicate(), m_log));
    return {};
}

Status Gateway::make_chores() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    ::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
    if (::sigprocmask(SIG_BLOCK, &signals, nullptr) < 0)
        return fail_errno(errno, "cannot block signals");
    m_signals = Fd(::signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC));
    if (!m_signals.valid()) return fail_errno(errno, "cannot receive signals");

    m_ticker = Fd(::timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC));
    const timespec second{.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(tick).count()};
    const itimerspec every_second{.it_interval = second, .it_value = second};
    if (!m_ticker.valid() || ::timerfd_settime(m_ticker.get(), 0, &every_second, nullptr) < 0)
        return fail_errno(errno, "cannot make a timer");

    TRY(m_server->watch(m_signals.get(), [this] { on_signal(); }));
    TRY(m_server->watch(m_ticker.get(), [this] { on_tick(); }));
    return m_server->watch(m_watch->fd(), [this] { follow_registry(); });
}

Outcome<void> Gateway::run() {
    std::string addresses;
    for (const auto& endpoint : m_settings.listen) addresses += " " + endpoint.text();
    const auto address = overlay_address(m_settings.prefix, m_credentials.wireguard_public);
    m_log.write({Level::Notice,
                 "serving",
                 m_settings.name + " serves on" + addresses,
                 {{"name", m_settings.name},
                  {"overlay_address", address.text()},
                  {"public_key", m_credentials.wireguard_public.base64()}}});
    TRY(or_exit(ExitCode::Failure, m_server->run()));
    m_log.write({Level::Notice, "stopped", "stopped; the tunnels stay as they are"});
    return {};
}

void Gateway::handle(const Request& request, const Reply& reply) {
    auto answer = m_admission->handle(request, wall_now());
    // It may have been the tunnels: somebody may have removed the interface, for one.
    if (answer.status == status_of(RefusalCode::Busy)) m_must_reconcile = true;
    reply(std::move(answer));
}

// --- chores ---

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
    m_log.write({Level::Notice, "stopping", "stopping: finishing what has begun"});
    m_server->stop();
}

void Gateway::on_tick() {
    std::uint64_t ticks = 0;
    [[maybe_unused]] const auto size = ::read(m_ticker.get(), &ticks, sizeof(ticks));
    const Instant now = monotonic_now();
    if (now >= m_next_validity_report) report_validities();
    if (now >= m_next_reconcile) m_must_reconcile = true;
    follow_registry();
}

// Level-triggered: whatever failed is done again at the next tick.
void Gateway::follow_registry() {
    auto changed = m_watch->changed();
    if (!changed) return warn("registry-failed", changed.error());
    if (!m_must_reconcile && !*changed) return;
    auto status = m_must_reconcile ? bring_in_line() : apply_changes();
    m_must_reconcile = !status;
    if (!status) warn("tunnels-failed", status.error());
}

Status Gateway::bring_in_line() {
    const auto nodes = TRY(m_registry->nodes_since(0));
    TRY(m_tunnels->reconcile(nodes));
    if (!nodes.empty()) m_applied_revision = nodes.back().revision;
    m_next_reconcile = monotonic_now() + reconcile_interval;
    return {};
}

// Our own enrolments are among them; their peers are there already.
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
        } else if (!TRY(m_tunnels->find(node.key))) {
            TRY(m_tunnels->reset(node));
        }
        m_applied_revision = node.revision;
    }
    return {};
}

Outcome<void> serve(const GatewaySettings& settings, Log& log) {
    Gateway gateway(settings, log);
    TRY(gateway.prepare());
    return gateway.run();
}

}  // namespace fortros::gateway
