#include "gateway/http_server.h"

#include <sys/epoll.h>

#include "base/secret.h"
#include "base/text.h"
#include "os/clock.h"

namespace fortros::gateway {

static constexpr std::size_t read_size = std::size_t{4} * 1024;
// Before each callback of others, however many there are: the door is fair to sources, the kernel's
// queue before it is not.
static constexpr int accepts_at_once = 4;
// Between two looks at who else has something to say: whoever is in comes before who waits outside.
static constexpr int handshakes_per_turn = 4;
static constexpr std::uint32_t notes_per_minute = 20;

HttpServer::HttpServer(Loop& loop, OpenSsl<SSL_CTX> tls, Handler handler, Log& log,
                       const ServerLimits& limits)
    : m_loop(loop),
      m_limits(limits),
      m_tls(std::move(tls)),
      m_handler(std::move(handler)),
      m_log(log),
      m_notes(notes_per_minute),
      m_scratch(read_size),
      m_door(limits.door) {}

Result<std::unique_ptr<HttpServer>> HttpServer::create(Loop& loop, std::vector<Fd> listeners,
                                                       OpenSsl<SSL_CTX> tls, Handler handler,
                                                       Log& log, const ServerLimits& limits) {
    std::unique_ptr<HttpServer> server(
        new HttpServer(loop, std::move(tls), std::move(handler), log, limits));
    server->m_listeners.reserve(listeners.size());
    for (auto& fd : listeners) {
        auto& listener = server->m_listeners.emplace_back(std::move(fd));
        listener.watch = TRY(loop.watch(
            listener.fd.get(), EPOLLIN,
            [here = server.get(), &listener](std::uint32_t) { here->accept_from(listener); },
            Loop::Order::First));
    }
    return server;
}

void HttpServer::accept_from(Listener& listener) {
    for (int i = 0; i < accepts_at_once; ++i) {
        auto accepted = gateway::accept_from(listener.fd.get());
        if (!accepted) {
            m_log.write({Level::Error, "accept-failed", accepted.error().text()});
            listen(0);
            m_pause = m_loop.after(m_limits.accept_pause, [this] { listen(EPOLLIN); });
            return;
        }
        if (!accepted->socket.valid()) return;
        open(std::move(*accepted));
    }
}

void HttpServer::listen(std::uint32_t events) {
    for (auto& listener : m_listeners)
        if (auto status = listener.watch.change(events); !status)
            m_log.write({Level::Error, "accept-failed", status.error().text()});
}

void HttpServer::open(Accepted accepted) {
    const auto id = m_next_id++;
    ++m_counts.accepted;
    const Endpoint from = accepted.from;
    if (const auto must_go = m_door.enter(id, from.address, monotonic_now())) {
        note("no-place", from,
             "too many connections: the oldest silent one is closed, or this one");
        if (*must_go == id) return;
        const auto silent = m_connections.find(*must_go)->second;
        silent->abandon();
    }
    const HttpConnection::Ground ground{m_loop, m_limits.http, *this, m_scratch};
    auto connection = std::make_shared<HttpConnection>(id, ground, std::move(accepted));
    m_connections.emplace(id, connection);
    if (auto status = connection->start(); !status) {
        note("no-memory", from, status.error().text());
        connection->abandon();
    }
}

void HttpServer::knocks(HttpConnection& connection) {
    m_door.knock(connection.id(), monotonic_now());
    if (m_door.waiting() == 1) schedule_turns();
}

void HttpServer::has_shaken_hands(HttpConnection& connection) {
    m_door.shaken(connection.id(), monotonic_now());
    schedule_turns();
}

void HttpServer::take_turns() {
    for (int i = 0; i < handshakes_per_turn; ++i) {
        const auto id = m_door.next(monotonic_now());
        if (!id) break;
        const auto connection = m_connections.find(*id)->second;
        ++m_counts.handshakes;
        connection->begin(m_tls.get());
    }
    schedule_turns();
}

void HttpServer::schedule_turns() {
    const Instant now = monotonic_now();
    const auto at = m_door.next_at(now);
    m_turns = at ? m_loop.after(*at - now, [this] { take_turns(); }) : Loop::Timer{};
}

void HttpServer::handle(HttpConnection& connection, Request request, Reply reply) {
    m_door.settle(connection.id());
    schedule_turns();
    m_handler(std::move(request), std::move(reply));
}

void HttpServer::ended(HttpConnection& connection) {
    m_door.leave(connection.id(), monotonic_now());
    m_connections.erase(connection.id());
    schedule_turns();
    if (m_stopped && m_connections.empty()) m_stopped();
}

void HttpServer::stop(std::function<void()> stopped) {
    if (m_stopped) return;
    m_listeners.clear();
    m_pause = {};
    m_turns = {};
    // finish() may end a connection, and with it its place among the others.
    const Connections connections = m_connections;
    for (const auto& [id, connection] : connections) connection->finish();
    m_stopped = std::move(stopped);
    m_end = m_loop.after(m_connections.empty() ? Duration{} : m_limits.shutdown,
                         [this] { m_stopped(); });
}

std::map<std::string_view, std::int64_t> HttpServer::connections() const {
    std::map<std::string_view, std::int64_t> counts;
    for (const auto state : connection_states) counts[state] = 0;
    counts.erase(connection_states.back());
    for (const auto& [id, connection] : m_connections) ++counts[connection->state()];
    return counts;
}

void HttpServer::note(std::string_view event, const Endpoint& from, std::string_view why) {
    if (const auto failures = m_counts.failures.find(event); failures != m_counts.failures.end())
        ++failures->second;
    if (!m_notes.allow(wall_now())) return;
    m_log.write({Level::Info,
                 std::string(event),
                 from.text() + ": " + printable(why),
                 {{"from", from.text()},
                  {"not_logged_before", static_cast<std::int64_t>(m_notes.take_unsaid())}}});
}

}  // namespace fortros::gateway
