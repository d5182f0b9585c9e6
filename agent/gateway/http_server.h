// The HTTP edge: TLS connections in, whole requests to a handler, answers out; everything bounded in
// size, number and time. It knows no target, no status but its own few, and nothing of members.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "gateway/door.h"
#include "gateway/exchange.h"
#include "gateway/http_connection.h"
#include "gateway/openssl.h"
#include "gateway/rate_limit.h"
#include "os/fd.h"
#include "os/loop.h"

namespace fortros::gateway {

struct ServerLimits {
    HttpLimits http{};
    DoorLimits door{};
    Duration shutdown = 5s;      // from stop() to the end of the last connection
    Duration accept_pause = 1s;  // when no descriptor is left
};

// Since the start.
struct ServerCounts {
    std::int64_t accepted = 0;
    std::int64_t handshakes = 0;  // begun
    // Connections that were not let in or did not end as they should, by why.
    std::map<std::string_view, std::int64_t> failures{
        {"no-place", 0},         {"too-busy", 0},   {"no-memory", 0},  {"too-slow", 0},
        {"handshake-failed", 0}, {"tls-failed", 0}, {"bad-request", 0}};
};

class HttpServer final : HttpConnection::Owner {
public:
    // `listeners` listen already. `handler` is called from the loop, and its Reply must be. Loop and
    // log must outlive the server.
    static Result<std::unique_ptr<HttpServer>> create(Loop& loop, std::vector<Fd> listeners,
                                                      OpenSsl<SSL_CTX> tls, Handler handler,
                                                      Log& log, const ServerLimits& limits = {});

    // For connections that begin from now on.
    void set_tls(OpenSsl<SSL_CTX> tls) { m_tls = std::move(tls); }

    // No new connections; requests that have begun are answered. Calls `stopped` when the last
    // connection has ended, or its time is over.
    void stop(std::function<void()> stopped);

    const Door& door() const { return m_door; }
    const ServerCounts& counts() const { return m_counts; }
    // How many connections there are now, in each of the connection_states. Looks at each.
    std::map<std::string_view, std::int64_t> connections() const;

private:
    struct Listener {
        Fd fd;
        Loop::Watch watch{};
    };
    using Connections = std::unordered_map<Door::Id, std::shared_ptr<HttpConnection>>;

    HttpServer(Loop& loop, OpenSsl<SSL_CTX> tls, Handler handler, Log& log,
               const ServerLimits& limits);

    void accept_from(Listener& listener);
    void listen(std::uint32_t events);
    void open(Accepted accepted);
    void take_turns();
    void schedule_turns();

    void knocks(HttpConnection& connection) override;
    void has_shaken_hands(HttpConnection& connection) override;
    void handle(HttpConnection& connection, Request request, Reply reply) override;
    void ended(HttpConnection& connection) override;
    void note(std::string_view event, const Endpoint& from, std::string_view why) override;

    Loop& m_loop;
    ServerLimits m_limits;
    OpenSsl<SSL_CTX> m_tls;
    Handler m_handler;
    Log& m_log;
    ServerCounts m_counts{};
    RateLimit m_notes;
    std::vector<std::uint8_t> m_scratch;  // of whoever is reading now
    Door m_door;
    Door::Id m_next_id = 1;
    std::vector<Listener> m_listeners{};
    Connections m_connections{};
    Loop::Timer m_turns{};
    Loop::Timer m_pause{};
    Loop::Timer m_end{};
    std::function<void()> m_stopped{};  // set while it stops
};

}  // namespace fortros::gateway
