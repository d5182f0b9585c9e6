// The gateway that serves, in its parts. Local to gateway*.cc: how it comes up, its chores beside the
// requests, and what it tells of itself.
//
// Two threads, each with a loop, which share nothing but two mailboxes: the edge never waits, so that
// connections and operators are served while a disk, an etcd cluster or the kernel takes its time.
//
//   edge: sockets, TLS, HTTP, proofs, signals ── requests ─▶ desk: registry, admission, feed, tunnels, chores
//                                             ◀─ answers ───
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "gateway/admission.h"
#include "gateway/credentials.h"
#include "gateway/echo_responder.h"
#include "gateway/exit_code.h"
#include "gateway/hand_over.h"
#include "gateway/http_server.h"
#include "gateway/mailbox.h"
#include "gateway/member_feed.h"
#include "gateway/metrics.h"
#include "gateway/operate_server.h"
#include "gateway/operating_lane.h"
#include "gateway/proof_gate.h"
#include "gateway/rate_limit.h"
#include "gateway/registry.h"
#include "gateway/settings.h"
#include "gateway/tunnels.h"
#include "gateway/write_queue.h"
#include "os/fd.h"
#include "os/loop.h"
#include "os/random.h"
#include "os/service_manager.h"

namespace fortros::gateway {

// The parts in the order in which they are made; they end in the opposite one.
class Gateway {
public:
    Gateway(const GatewaySettings& settings, Log& log);
    Gateway(const Gateway&) = delete;
    Gateway& operator=(const Gateway&) = delete;

    Outcome<void> prepare();
    Outcome<void> run();

private:
    struct Listeners {
        std::vector<Fd> nodes{};
        std::vector<Fd> operators{};
    };
    // How the registry was found when somebody asked. Absent: it could not be read.
    struct RegistryView {
        std::string problem{};
        std::optional<std::int64_t> members{};
        std::optional<std::int64_t> waiting{};
        std::optional<std::int64_t> revision{};
    };

    // gateway.cc
    Status await_registry();
    Status try_registry();
    Status make_tunnels();
    void begin_relaying();
    Status answer_probes();
    Outcome<Listeners> make_listeners();
    Outcome<void> make_servers(Listeners listeners);
    void make_operating_lane();
    Status make_chores();
    Status watch(Loop& loop, int fd, std::function<void()> ready);
    Status turn_both();
    void receive(Request request, Reply reply);
    void handle(Proved proved, Reply reply);

    // gateway_chores.cc
    void report_credentials();
    void report_validities();
    void on_signal();
    void stop();
    [[noreturn]] void give_up();
    void reload();
    void say_ready(const std::string& status);
    Result<OpenSsl<SSL_CTX>> take_new_credentials();
    void serve_with(OpenSsl<SSL_CTX> tls);
    void on_tick();
    void follow_registry();
    void renew_lighthouses();
    void announce();
    Status announce_self();
    Status bring_in_line();
    Status apply_changes();
    void warn(std::string_view part, const Error& error);

    // gateway_report.cc
    std::vector<Check> checks();
    Metrics metrics();
    ConnectionNumbers connection_numbers() const;
    Duration silence() const;
    const RegistryView& look_at_registry();
    RegistryView registry_now();

    const GatewaySettings& m_settings;
    Log& m_log;
    ServiceManager m_manager{};
    KernelRandom m_random;
    Credentials m_credentials{};
    CurrentSigner m_signer{};
    std::unique_ptr<Loop> m_desk;
    std::unique_ptr<Loop> m_edge;
    std::unique_ptr<Mailbox> m_to_desk;
    std::unique_ptr<Mailbox> m_to_edge;
    std::unique_ptr<Registry> m_registry;
    std::unique_ptr<Tunnels> m_tunnels;
    std::vector<std::unique_ptr<EchoResponder>> m_responders{};
    std::optional<HandOver> m_hand_over;
    std::optional<ProofGate> m_gate;
    std::optional<Admission> m_admission;
    std::optional<MemberFeed> m_feed;
    std::optional<WriteQueue> m_writes;
    std::unique_ptr<RegistryWatch> m_watch;
    Fd m_signals;
    Fd m_ticker;
    std::vector<Loop::Watch> m_watches{};
    std::string m_places{};  // where nodes are listened for, and operators
    std::unique_ptr<HttpServer> m_server;
    std::optional<OperatingLane> m_lane;
    std::unique_ptr<OperateServer> m_operate_server;

    std::atomic<bool> m_is_stopping = false;       // which the edge decides
    std::atomic<Instant> m_last_turn = Instant{};  // of the desk
    std::uint64_t m_applied_revision = 0;          // of the registry, in the tunnels
    bool m_must_reconcile = false;                 // the tunnels may differ from the registry
    RateLimit m_warnings;
    Instant m_next_reconcile{};
    Instant m_next_validity_report{};
    Instant m_next_renewal{};
    Instant m_next_announcement{};

    std::string m_tunnels_problem{};  // why they are not in line, since the last attempt
    AnswerCounts m_answers{};         // of the edge
    std::map<std::string_view, std::int64_t> m_failures{{"announcement", 0}, {"attestation", 0},
                                                        {"registry", 0},     {"reload", 0},
                                                        {"renewal", 0},      {"tunnels", 0}};
    std::int64_t m_reloads = 0;
    bool m_reload_successful = true;
    WallTime m_started{};
    WallTime m_credentials_loaded{};
    RegistryView m_registry_view{};
    Instant m_next_look{};  // at a registry that has kept us waiting in vain
};

}  // namespace fortros::gateway
