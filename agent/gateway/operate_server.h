// The edge of the operating lane: plain HTTP/1.1, one request for each connection, for whoever watches
// this gateway from its own host. Its sockets come before all others, and its few places are its own:
// nodes can't keep it from answering, nor it them. It knows no target.
//
//   accepted ─▶ request ─▶ handler ─▶ answer ─▶ drain ─▶ closed       all within one deadline
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "gateway/exchange.h"
#include "gateway/http_request_reader.h"
#include "gateway/listener.h"
#include "os/fd.h"
#include "os/loop.h"

namespace fortros::gateway {

struct OperateLimits {
    std::size_t connections = 16;  // the oldest must go for the next
    std::size_t head = std::size_t{8} * 1024;
    std::size_t drained = std::size_t{64} * 1024;
    Duration deadline = 5s;      // of a connection, from its beginning to its end
    Duration accept_pause = 1s;  // when no descriptor is left
};

class OperateServer {
public:
    // `listeners` listen already. `handler` is called from the loop, and its Reply must be, while there is
    // a server. Loop and log must outlive it.
    static Result<std::unique_ptr<OperateServer>> create(Loop& loop, std::vector<Fd> listeners,
                                                         Handler handler, Log& log,
                                                         const OperateLimits& limits = {});

private:
    struct Listener {
        Fd fd;
        Loop::Watch watch{};
    };
    struct Connection {
        Connection(std::uint64_t number, Fd accepted, const OperateLimits& limits)
            : id(number), fd(std::move(accepted)), reader(limits.head, 0) {}
        std::uint64_t id;
        Fd fd;
        HttpRequestReader reader;
        bool is_asked = false;  // and not answered yet
        std::string out{};      // what is left of the answer
        bool is_answered = false;
        std::size_t drained = 0;
        Loop::Watch watch{};
        Loop::Timer deadline{};
        Loop::Timer answered{};  // an answer is on its way
    };
    using Place = std::list<Connection>::iterator;
    enum class Step { Done, WantRead, WantWrite, WantAnswer, Closed };

    OperateServer(Loop& loop, Handler handler, Log& log, const OperateLimits& limits)
        : m_loop(loop), m_handler(std::move(handler)), m_log(log), m_limits(limits) {}

    void accept_from(Listener& listener);
    void listen(std::uint32_t events);
    Status open(Fd socket);
    void advance(Place place);
    Step take_step(Connection& connection);
    Step read(Connection& connection);
    Step write(Connection& connection);
    Step drain(Connection& connection) const;
    void ask(Connection& connection, Request request);
    static void answer(Connection& connection, const Answer& answer);

    Loop& m_loop;
    Handler m_handler;
    Log& m_log;
    OperateLimits m_limits;
    std::vector<Listener> m_listeners{};
    std::uint64_t m_next_id = 1;
    std::list<Connection> m_connections{};  // the oldest first
    Loop::Timer m_pause{};
};

}  // namespace fortros::gateway
