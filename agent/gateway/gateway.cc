#include "gateway/gateway.h"

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <semaphore>
#include <thread>

#include "base/text.h"
#include "gateway/gateway_parts.h"
#include "gateway/kernel_tunnels.h"
#include "gateway/listener.h"
#include "gateway/open_registry.h"
#include "gateway/operating.h"
#include "gateway/tls_session.h"
#include "os/clock.h"
#include "os/forwarding.h"

namespace fortros::gateway {

static constexpr Duration tick = 1s;
static constexpr std::uint32_t warnings_per_minute = 6;
// Less than what the unit gives it to start; then whoever started it may do so again.
static constexpr Duration registry_patience = 4min;
static constexpr Duration registry_pause = 1s;
static constexpr unsigned registry_tries_a_word = 12;  // each takes seconds
// At the end, for the step that the desk is at: longer than etcd or the kernel should take.
static constexpr Duration desk_patience = 10s;
// FileDescriptorName= of the units.
static constexpr std::string_view nodes_socket = "nodes";
static constexpr std::string_view operate_socket = "operate";

Gateway::Gateway(const GatewaySettings& settings, Log& log)
    : m_settings(settings), m_log(log), m_warnings(warnings_per_minute) {}

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
    m_started = wall_now();
    take_all_descriptors(m_log);
    m_manager = ServiceManager::of_environment();
    TRY(or_exit(ExitCode::Failure, wait_for_entropy(m_log)));
    TRY(or_exit(ExitCode::Failure, crypto::initialise()));
    m_desk = TRY(or_exit(ExitCode::Failure, Loop::create()));
    m_edge = TRY(or_exit(ExitCode::Failure, Loop::create()));
    m_to_desk = TRY(or_exit(ExitCode::Failure, Mailbox::create(*m_desk, Loop::Order::AsTheyCome)));
    m_to_edge = TRY(or_exit(ExitCode::Failure, Mailbox::create(*m_edge, Loop::Order::First)));
    m_credentials = TRY(or_exit(ExitCode::Credentials, load_credentials(m_settings)));
    m_credentials_loaded = wall_now();
    m_signer.set(std::move(m_credentials.signer));
    report_credentials();

    TRY(or_exit(ExitCode::Database, await_registry()));
    TRY(or_exit(ExitCode::WireGuard, make_tunnels()));
    TRY(or_exit(ExitCode::WireGuard, bring_in_line()));
    TRY(or_exit(ExitCode::WireGuard, answer_probes()));

    m_hand_over.emplace(
        HandOver::Parts{.to_desk = *m_to_desk, .to_edge = *m_to_edge, .random = m_random},
        [this](Proved proved, Reply reply) { handle(std::move(proved), std::move(reply)); });
    m_gate.emplace(m_credentials.wireguard_key.duplicate(), m_credentials.wireguard_public, m_log,
                   [this](Proved proved, Reply reply) {
                       m_hand_over->add(std::move(proved), std::move(reply));
                   });
    m_admission.emplace(GatewaySelf{.prefix = m_settings.prefix,
                                    .domain = m_settings.domain,
                                    .private_key = m_credentials.wireguard_key.duplicate(),
                                    .public_key = m_credentials.wireguard_public,
                                    .endpoints = m_settings.endpoints,
                                    .keepalive_seconds = m_settings.keepalive_seconds},
                        Admission::Parts{.registry = *m_registry,
                                         .tunnels = *m_tunnels,
                                         .signer = m_signer,
                                         .random = m_random,
                                         .log = m_log,
                                         .vouch = [this](const std::vector<Bytes>& chain) {
                                             return read_vouched(chain, m_credentials.anchors,
                                                                 m_settings.name);
                                         }});
    // With a wrong clock or a full disk nobody can be admitted; the tunnels that there are still
    // work, and both may be mended without a restart.
    if (auto status = m_admission->attest_self(wall_now()); !status)
        warn("attestation", status.error());
    announce();
    m_feed.emplace(
        MemberFeed::Parts{.loop = *m_desk,
                          .registry = *m_registry,
                          .issuer = m_admission->issuer(),
                          .backbone = m_admission->backbone(),
                          .random = m_random,
                          .boot_seen = [this](const PublicKey& node, std::string_view boot_id) {
                              m_admission->has_seen(node, boot_id, wall_now());
                          }});
    m_writes.emplace(
        WriteQueue::Parts{.loop = *m_desk, .registry = *m_registry, .random = m_random},
        [this](const Proved& proved) { return m_admission->handle(proved, wall_now()); },
        [this](const Request& request, const Error& why, Duration after) {
            return m_admission->put_off(request, why, after, wall_now());
        },
        [this] { m_feed->look(wall_now()); });

    TRY(make_servers(TRY(make_listeners())));
    return or_exit(ExitCode::Failure, make_chores());
}

// After a power cut a cluster comes up beside its gateways, and may be without a leader for a while.
Status Gateway::await_registry() {
    const Instant end = monotonic_now() + registry_patience;
    for (unsigned tries = 0;; ++tries) {
        const Status status = try_registry();
        const bool may_come = !status && status.error().code == ErrorCode::Busy;
        if (!may_come || monotonic_now() >= end) return status;
        if (tries % registry_tries_a_word == 0) {
            m_log.write({Level::Warning, "waits-for-registry",
                         "waits for the registry: " + status.error().text()});
            m_manager.tell("STATUS=waits for the registry");
        }
        std::this_thread::sleep_for(registry_pause);
    }
}

Status Gateway::try_registry() {
    m_registry = TRY(open_registry(m_settings, RegistryUser::Server));
    TRY(m_registry->check());
    m_watch = TRY(m_registry->watch());
    return {};
}

// Who may not change sysctls, as under the unit, has had it done before.
void Gateway::begin_relaying() {
    const Status status = forward_ipv6();
    if (status) return;
    m_log.write({Level::Warning, "not-relaying",
                 "nodes can't talk to each other through this host, which does not forward IPv6: " +
                     status.error().text() + " (see fortros-gateway allow-relay --help)"});
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
    if (m_settings.relay) begin_relaying();
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

Status Gateway::answer_probes() {
    if (!m_settings.manage) return {};
    const EchoResponder::Parts parts{*m_desk, m_random, *m_tunnels};
    m_responders.push_back(TRY(EchoResponder::create(
        parts, m_settings.prefix, m_credentials.wireguard_key, m_credentials.wireguard_public)));
    if (const auto& previous = m_credentials.previous)
        m_responders.push_back(TRY(
            EchoResponder::create(parts, m_settings.prefix, previous->key, previous->public_key)));
    return {};
}

static Result<Fd> listen_to(const OperateAddress& address) {
    const auto* endpoint = std::get_if<Endpoint>(&address);
    return endpoint != nullptr ? listen_on(*endpoint) : listen_at(std::get<std::string>(address));
}

// A service manager's sockets take the place of those that the settings name.
Outcome<Gateway::Listeners> Gateway::make_listeners() {
    Listeners listeners;
    for (auto& given : TRY(or_exit(ExitCode::Listen, take_given_sockets()))) {
        const bool is_nodes = given.name == nodes_socket;
        if (!is_nodes && given.name != operate_socket)
            return or_exit<Listeners>(ExitCode::Listen,
                                      fail(ErrorCode::InvalidArgument,
                                           "a socket is called '" + printable(given.name) +
                                               "': FileDescriptorName= must be nodes or operate"));
        auto socket = adopt_listener(std::move(given.fd),
                                     is_nodes ? ListenerKind::Internet : ListenerKind::Any);
        if (!socket)
            return or_exit<Listeners>(
                ExitCode::Listen,
                std::unexpected(std::move(socket.error()).in("the socket " + given.name)));
        (is_nodes ? listeners.nodes : listeners.operators).push_back(std::move(*socket));
    }
    if (listeners.nodes.empty())
        for (const auto& endpoint : m_settings.listen)
            listeners.nodes.push_back(TRY(or_exit(ExitCode::Listen, listen_on(endpoint))));
    if (listeners.operators.empty())
        for (const auto& address : m_settings.operate_listen)
            listeners.operators.push_back(TRY(or_exit(ExitCode::Listen, listen_to(address))));
    return listeners;
}

Outcome<void> Gateway::make_servers(Listeners listeners) {
    for (const auto& socket : listeners.nodes) m_places += " " + place_of(socket.get());
    m_places += ", for operators on";
    for (const auto& socket : listeners.operators) m_places += " " + place_of(socket.get());
    auto tls = TRY(or_exit(ExitCode::Credentials,
                           make_tls_context(m_credentials.chain, m_credentials.key.get())));
    m_server = TRY(or_exit(
        ExitCode::Failure,
        HttpServer::create(
            *m_edge, std::move(listeners.nodes), std::move(tls),
            [this](Request request, Reply reply) { receive(std::move(request), std::move(reply)); },
            m_log)));
    make_operating_lane();
    m_operate_server =
        TRY(or_exit(ExitCode::Failure, OperateServer::create(
                                           *m_edge, std::move(listeners.operators),
                                           [this](Request request, Reply reply) {
                                               m_lane->handle(std::move(request), std::move(reply));
                                           },
                                           m_log)));
    return {};
}

void Gateway::make_operating_lane() {
    const auto ask_desk = [this](OperatingLane::Told told) {
        m_to_desk->put([this, told = std::move(told)]() mutable {
            m_to_edge->put([told = std::move(told), metrics = metrics()] { told(metrics); });
        });
    };
    m_lane.emplace(OperatingLane::Parts{.loop = *m_edge,
                                        .ask = ask_desk,
                                        .connections = [this] { return connection_numbers(); },
                                        .silence = [this] { return silence(); }},
                   metrics());
}

Status Gateway::make_chores() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
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

    TRY(watch(*m_edge, m_signals.get(), [this] { on_signal(); }));
    TRY(watch(*m_desk, m_ticker.get(), [this] { on_tick(); }));
    return watch(*m_desk, m_watch->fd(), [this] { follow_registry(); });
}

Status Gateway::watch(Loop& loop, int fd, std::function<void()> ready) {
    m_watches.push_back(
        TRY(loop.watch(fd, EPOLLIN, [ready = std::move(ready)](std::uint32_t) { ready(); })));
    return {};
}

Outcome<void> Gateway::run() {
    const auto address = overlay_address(m_settings.prefix, m_credentials.wireguard_public);
    m_log.write({Level::Notice,
                 "serving",
                 m_settings.name + " serves on" + m_places,
                 {{"name", m_settings.name},
                  {"overlay_address", address.text()},
                  {"public_key", m_credentials.wireguard_public.base64()}}});
    m_manager.tell("READY=1\nSTATUS=serves on" + m_places);
    TRY(or_exit(ExitCode::Failure, turn_both()));
    m_log.write({Level::Notice, "stopped", "stopped; the tunnels stay as they are"});
    return {};
}

// The one does not go on without the other, and the edge does not wait for ever for what the desk is at.
Status Gateway::turn_both() {
    m_last_turn = monotonic_now();
    Status desk_ended;
    std::binary_semaphore desk_is_done{0};
    std::thread desk([&] {
        desk_ended = m_desk->run();
        m_to_edge->stop_loop();
        desk_is_done.release();
    });
    const Status edge_ended = m_edge->run();
    m_to_desk->stop_loop();
    if (!desk_is_done.try_acquire_for(desk_patience)) give_up();
    desk.join();
    TRY(edge_ended);
    return desk_ended;
}

// Of the edge: whoever has proved nothing goes no further.
void Gateway::receive(Request request, Reply reply) {
    auto counting = [this, target = request.target,
                     reply = std::move(reply)](Answer answer) mutable {
        m_answers.add(target, answer);
        reply(std::move(answer));
    };
    m_gate->handle(std::move(request), std::move(counting), wall_now());
}

// Members who come back are served at once; what has to be written waits for its turn.
void Gateway::handle(Proved proved, Reply reply) {
    const auto now = wall_now();
    if (proved.request.target.starts_with(members_target))
        return m_feed->handle(proved, std::move(reply), now);
    auto noting = [this, reply = std::move(reply)](Answer answer) mutable {
        if (answer.note) m_log.write(*answer.note);
        // It may be the tunnels that it fails for: somebody may have removed the interface, for one.
        if (answer.status == status_of(RefusalCode::Busy)) m_must_reconcile = true;
        reply(std::move(answer));
    };
    if (m_admission->may_write(proved, now))
        return m_writes->add(std::move(proved), std::move(noting));
    noting(m_admission->handle(proved, now));
}

Outcome<void> serve(const GatewaySettings& settings, Log& log) {
    Gateway gateway(settings, log);
    TRY(gateway.prepare());
    return gateway.run();
}

}  // namespace fortros::gateway
