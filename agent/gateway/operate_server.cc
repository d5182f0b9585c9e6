#include "gateway/operate_server.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"

namespace fortros::gateway {

static constexpr std::size_t read_size = std::size_t{4} * 1024;

Result<std::unique_ptr<OperateServer>> OperateServer::create(Loop& loop, std::vector<Fd> listeners,
                                                             Handler handler, Log& log,
                                                             const OperateLimits& limits) {
    std::unique_ptr<OperateServer> server(new OperateServer(loop, std::move(handler), log, limits));
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

// --- connections ---

// One at a time: nodes wait meanwhile.
void OperateServer::accept_from(Listener& listener) {
    auto accepted = gateway::accept_from(listener.fd.get());
    auto status = accepted ? Status{} : Status(std::unexpected(std::move(accepted).error()));
    if (status && accepted->socket.valid()) status = open(std::move(accepted->socket));
    if (status) return;
    m_log.write({Level::Error, "accept-failed", "operating lane: " + status.error().text()});
    listen(0);
    m_pause = m_loop.after(m_limits.accept_pause, [this] { listen(EPOLLIN); });
}

void OperateServer::listen(std::uint32_t events) {
    for (auto& listener : m_listeners)
        if (auto status = listener.watch.change(events); !status)
            m_log.write({Level::Error, "accept-failed", status.error().text()});
}

Status OperateServer::open(Fd socket) {
    if (m_connections.size() >= m_limits.connections) m_connections.pop_front();
    const auto place =
        m_connections.emplace(m_connections.end(), m_next_id++, std::move(socket), m_limits);
    auto watch = m_loop.watch(
        place->fd.get(), EPOLLIN, [this, place](std::uint32_t) { advance(place); },
        Loop::Order::First);
    if (!watch) {
        m_connections.erase(place);
        return std::unexpected(std::move(watch).error());
    }
    place->watch = std::move(*watch);
    place->deadline =
        m_loop.after(m_limits.deadline, [this, place] { m_connections.erase(place); });
    return {};
}

// Goes as far as it can without waiting.
void OperateServer::advance(Place place) {
    for (;;) {
        const Step step = take_step(*place);
        if (step == Step::Done) continue;
        // Who has gone for good shows as EPOLLHUP, which comes unasked.
        const std::uint32_t events = step == Step::WantAnswer  ? 0
                                     : step == Step::WantWrite ? std::uint32_t{EPOLLOUT}
                                                               : std::uint32_t{EPOLLIN};
        if (step == Step::Closed || !place->watch.change(events)) m_connections.erase(place);
        return;
    }
}

OperateServer::Step OperateServer::take_step(Connection& connection) {
    if (connection.is_asked) return Step::Closed;  // it has gone
    if (!connection.is_answered) return read(connection);
    return connection.out.empty() ? drain(connection) : write(connection);
}

OperateServer::Step OperateServer::read(Connection& connection) {
    std::uint8_t bytes[read_size];
    const auto size = ::recv(connection.fd.get(), bytes, sizeof(bytes), 0);
    if (size < 0 && errno == EAGAIN) return Step::WantRead;
    if (size <= 0) return Step::Closed;
    connection.reader.append(ByteView(bytes, static_cast<std::size_t>(size)));
    auto outcome = connection.reader.next();
    if (auto* whole = std::get_if<HttpRequestReader::Whole>(&outcome)) {
        ask(connection, std::move(whole->request));
        return Step::WantAnswer;
    }
    if (const auto* refused = std::get_if<HttpRequestReader::Refused>(&outcome))
        answer(connection, {refused->status,
                            {{"Content-Type", "text/plain; charset=utf-8"}},
                            printable(refused->why) + "\n"});
    return Step::Done;
}

// Always by way of the loop: the handler may answer before it returns.
void OperateServer::ask(Connection& connection, Request request) {
    connection.is_asked = true;
    m_handler(std::move(request), [this, id = connection.id](const Answer& answer) {
        const auto place = std::ranges::find(m_connections, id, &Connection::id);
        if (place == m_connections.end() || !place->is_asked) return;
        OperateServer::answer(*place, answer);
        place->answered = m_loop.after({}, [this, place] {
            place->is_asked = false;
            advance(place);
        });
    });
}

void OperateServer::answer(Connection& connection, const Answer& answer) {
    connection.out =
        "HTTP/1.1 " + std::to_string(answer.status) + " " + reason_of(answer.status) + "\r\n";
    for (const auto& [name, value] : answer.headers)
        connection.out.append(name).append(": ").append(value).append("\r\n");
    connection.out += "Content-Length: " + std::to_string(answer.body.size()) +
                      "\r\nConnection: close\r\n\r\n" + answer.body;
    connection.is_answered = true;
}

OperateServer::Step OperateServer::write(Connection& connection) {
    const auto size =
        ::send(connection.fd.get(), connection.out.data(), connection.out.size(), MSG_NOSIGNAL);
    if (size < 0 && errno == EAGAIN) return Step::WantWrite;
    if (size < 0) return Step::Closed;
    connection.out.erase(0, static_cast<std::size_t>(size));
    if (connection.out.empty()) ::shutdown(connection.fd.get(), SHUT_WR);
    return Step::Done;
}

// Closing with unread bytes resets the connection, and the client would lose its answer.
OperateServer::Step OperateServer::drain(Connection& connection) const {
    char bytes[read_size];
    const auto size = ::recv(connection.fd.get(), bytes, sizeof(bytes), 0);
    if (size < 0 && errno == EAGAIN) return Step::WantRead;
    if (size <= 0) return Step::Closed;
    connection.drained += static_cast<std::size_t>(size);
    return connection.drained < m_limits.drained ? Step::Done : Step::Closed;
}

}  // namespace fortros::gateway
