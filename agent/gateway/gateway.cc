#include "gateway/gateway.h"

#include <sys/epoll.h>
#include <sys/resource.h>
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
#include "gateway/member_feed.h"
#include "gateway/open_registry.h"
#include "gateway/tls_session.h"
#include "gateway/write_queue.h"
#include "os/clock.h"
#include "os/loop.h"
#include "os/random.h"

namespace fortros::gateway {

static constexpr Duration tick = 1s;
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

    void handle(Request request, Reply reply);
    void report_validities();
    void on_signal();
    void on_tick();
    void follow_registry();
    void renew_lighthouses();
    void announce();
    Status announce_self();
    Status bring_in_line();
    Status apply_changes();
    void warn(std::string event, const Error& error);

    const GatewaySettings& m_settings;
    Log& m_log;
    KernelRandom m_random;
    Credentials m_credentials{};
    std::unique_ptr<Loop> m_loop;
    std::unique_ptr<Registry> m_registry;
    std::unique_ptr<Tunnels> m_tunnels;
    std::optional<Admission> m_admission;
    std::optional<MemberFeed> m_feed;
    std::optional<WriteQueue> m_writes;
    std::unique_ptr<RegistryWatch> m_watch;
    Fd m_signals;
    Fd m_ticker;
    std::vector<Loop::Watch> m_watches{};
    std::unique_ptr<HttpServer> m_server;

    std::uint64_t m_applied_revision = 0;  // of the registry, in the tunnels
    bool m_must_reconcile = false;         // the tunnels may differ from the registry
    RateLimit m_warnings{warnings_per_minute};
    Instant m_next_reconcile{};
    Instant m_next_validity_report{};
    Instant m_next_renewal{};
    Instant m_next_announcement{};
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

// Many systems give a process 1024 descriptors until it asks for those that it may have.
static void take_all_descriptors(Log& log) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < DoorLimits{}.places)
        log.write({Level::Warning, "few-descriptors",
                   "this process may open " + std::to_string(limit.rlim_max) +
                       " files, which bounds the nodes that can come at once: raise LimitNOFILE="});
}

Outcome<void> Gateway::prepare() {
    take_all_descriptors(m_log);
    TRY(or_exit(ExitCode::Failure, wait_for_entropy(m_log)));
    TRY(or_exit(ExitCode::Failure, crypto::initialise()));
    m_loop = TRY(or_exit(ExitCode::Failure, Loop::create()));
    m_credentials = TRY(or_exit(ExitCode::Credentials, load_credentials(m_settings)));
    for (const auto& warning : m_credentials.warnings)
        m_log.write({Level::Warning, "credentials", warning});
    report_validities();

    m_registry = TRY(or_exit(ExitCode::Database, open_registry(m_settings, RegistryUser::Server)));
    TRY(or_exit(ExitCode::Database, m_registry->check()));
    m_watch = TRY(or_exit(ExitCode::Database, m_registry->watch()));

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
                                         .log = m_log,
                                         .vouch = [this](const std::vector<Bytes>& chain) {
                                             return read_vouched(chain, m_credentials.anchors,
                                                                 m_settings.name);
                                         }});
    // With a wrong clock or a full disk nobody can be admitted; the tunnels that there are still
    // work, and both may be mended without a restart.
    if (auto status = m_admission->attest_self(wall_now()); !status)
        warn("attestation-failed", status.error());
    announce();
    m_feed.emplace(MemberFeed::Parts{.loop = *m_loop,
                                     .registry = *m_registry,
                                     .issuer = m_admission->issuer(),
                                     .backbone = m_admission->backbone(),
                                     .gate = m_admission->gate()});
    m_writes.emplace(
        WriteQueue::Parts{.loop = *m_loop, .registry = *m_registry, .random = m_random},
        [this](const Request& request) { return m_admission->handle(request, wall_now()); },
        [this](const Request& request, const Error& why, Duration after) {
            return m_admission->put_off(request, why, after, wall_now());
        },
        [this] { m_feed->look(wall_now()); });

    std::vector<Fd> listeners;
    listeners.reserve(m_settings.listen.size());
    for (const auto& endpoint : m_settings.listen)
        listeners.push_back(TRY(or_exit(ExitCode::Listen, listen_on(endpoint))));
    auto tls = TRY(or_exit(ExitCode::Credentials,
                           make_tls_context(m_credentials.chain, m_credentials.key.get())));
    m_server = TRY(or_exit(ExitCode::Failure, HttpServer::create(
                                                  *m_loop, std::move(listeners), std::move(tls),
                                                  [this](Request request, Reply reply) {
                                                      handle(std::move(request), std::move(reply));
                                                  },
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
    std::vector<ServedKey> keys;
    keys.push_back({.key = m_credentials.wireguard_key.duplicate(),
                    .public_key = m_credentials.wireguard_public,
                    .listen_port = m_settings.listen_port});
    if (const auto& previous = m_credentials.previous)
        keys.push_back({.key = previous->key.duplicate(),
                        .public_key = previous->public_key,
                        .listen_port = m_settings.previous_listen_port});
    m_tunnels = TRY(KernelTunnels::create(
        {.prefix = m_settings.prefix, .mtu = m_settings.mtu, .guard = m_settings.guard},
        std::move(keys), m_log));
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

    TRY(watch(m_signals.get(), [this] { on_signal(); }));
    TRY(watch(m_ticker.get(), [this] { on_tick(); }));
    return watch(m_watch->fd(), [this] { follow_registry(); });
}

Status Gateway::watch(int fd, std::function<void()> ready) {
    m_watches.push_back(
        TRY(m_loop->watch(fd, EPOLLIN, [ready = std::move(ready)](std::uint32_t) { ready(); })));
    return {};
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
    TRY(or_exit(ExitCode::Failure, m_loop->run()));
    m_log.write({Level::Notice, "stopped", "stopped; the tunnels stay as they are"});
    return {};
}

// Members who come back are served at once; what has to be written waits for its turn.
void Gateway::handle(Request request, Reply reply) {
    const auto now = wall_now();
    if (request.target.starts_with(members_target))
        return m_feed->handle(request, std::move(reply), now);
    // It may be the tunnels that a request fails for: somebody may have removed the interface, for one.
    reply = [this, reply = std::move(reply)](Answer answer) {
        if (answer.status == status_of(RefusalCode::Busy)) m_must_reconcile = true;
        reply(std::move(answer));
    };
    if (request.method == "POST" && m_admission->may_write(request, now))
        return m_writes->add(std::move(request), std::move(reply));
    reply(m_admission->handle(request, now));
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
    m_server->stop([this] { m_loop->stop(); });
}

void Gateway::on_tick() {
    std::uint64_t ticks = 0;
    [[maybe_unused]] const auto size = ::read(m_ticker.get(), &ticks, sizeof(ticks));
    const Instant now = monotonic_now();
    if (now >= m_next_validity_report) report_validities();
    if (now >= m_next_reconcile) m_must_reconcile = true;
    follow_registry();
    if (now >= m_next_announcement) announce();
    if (now >= m_next_renewal) renew_lighthouses();
}

// Level-triggered: whatever failed is done again at the next tick.
void Gateway::follow_registry() {
    auto changed = m_watch->changed();
    if (!changed) return warn("registry-failed", changed.error());
    if (!m_must_reconcile && !*changed) return;
    auto status = m_must_reconcile ? bring_in_line() : apply_changes();
    m_must_reconcile = !status;
    if (!status) warn("tunnels-failed", status.error());
    // Somebody may have become one just now, after a year without a join.
    renew_lighthouses();
}

void Gateway::renew_lighthouses() {
    m_next_renewal = monotonic_now() + renewal_interval;
    const auto now = wall_now();
    if (auto status = m_admission->backbone().renew_due(now); !status)
        warn("renewal-failed", status.error());
    m_feed->look(now);
}

// To the other gateways of the org, which tell nodes of this one.
void Gateway::announce() {
    const auto status = announce_self();
    m_next_announcement = monotonic_now() + (status ? announcement_interval : announcement_retry);
    if (!status) warn("announcement-failed", status.error());
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

Outcome<void> serve(const GatewaySettings& settings, Log& log) {
    Gateway gateway(settings, log);
    TRY(gateway.prepare());
    return gateway.run();
}

}  // namespace fortros::gateway
