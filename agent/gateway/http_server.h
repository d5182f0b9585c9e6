// The HTTP edge: TLS connections in, whole requests to a handler, answers out; everything bounded
// in size, number and time. It knows no target, no status but its own few, and nothing of members.
// The event loop of the gateway's one network thread is in here, too.
//
//   accept ─▶ handshake ─▶ head ─▶ body ─▶ handler ─▶ answer ─┬─▶ drain ─▶ closed
//                           ▲                                 │
//                           └───────────── keep-alive ◀───────┘
//
// Each phase has its deadline, counted from its beginning: a byte a second does not extend it.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "gateway/exchange.h"
#include "gateway/openssl.h"
#include "os/fd.h"

namespace fortros::gateway {

struct HttpLimits {
    std::size_t head = std::size_t{8} * 1024;
    std::size_t body = std::size_t{32} * 1024;
    std::size_t connections = 4096;  // more wait in the kernel's queue
    unsigned requests_per_connection = 100;
    std::size_t drained = std::size_t{1024} * 1024;  // of what a refused client still sends
    Duration handshake = 10s;
    Duration first_byte = 10s;  // after the handshake, and between requests
    Duration request_head = 10s;
    Duration request_body = 10s;
    Duration answer = 20s;
    Duration drain = 2s;
    Duration shutdown = 5s;      // from stop() to the end of the last connection
    Duration accept_pause = 1s;  // when no descriptor is left
};

class HttpServer {
public:
    // `listeners` listen already. `handler` is called from run(); its Reply may be called from any
    // thread. `log` must outlive the server.
    static Result<std::unique_ptr<HttpServer>> create(std::vector<Fd> listeners,
                                                      OpenSsl<SSL_CTX> tls, Handler handler,
                                                      Log& log, const HttpLimits& limits = {});
    ~HttpServer();

    // Calls `ready` from run() whenever the descriptor can be read: signals, timers, files that are
    // watched. It is borrowed, and must outlive the server.
    Status watch(int fd, std::function<void()> ready);

    // Until stop(), and then until the connections have ended or their time is over.
    Status run();

    // No new connections; requests that have begun are answered. From within run() only.
    void stop();

    struct Implementation;

private:
    explicit HttpServer(std::unique_ptr<Implementation> implementation);
    std::unique_ptr<Implementation> m_implementation;
};

}  // namespace fortros::gateway
