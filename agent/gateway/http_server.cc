// The only file with Boost in it, and with exceptions: none leaves it.
#include "gateway/http_server.h"

#include <sys/socket.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http/status.hpp>
#include <list>
#include <string>
#include <unordered_set>

#include "base/text.h"
#include "core/messages.h"
#include "gateway/http_request_reader.h"
#include "gateway/listener.h"
#include "gateway/rate_limit.h"
#include "gateway/tls_session.h"
#include "os/clock.h"

namespace fortros::gateway {

namespace asio = boost::asio;

using Descriptor = asio::posix::stream_descriptor;
using BoostError = boost::system::error_code;

static constexpr std::size_t read_size = std::size_t{4} * 1024;
static constexpr int accepts_per_turn = 64;
static constexpr std::uint32_t notes_per_minute = 20;

class Connection;

struct HttpServer::Implementation {
    struct Listener {
        Fd fd;
        Descriptor descriptor;
    };

    asio::io_context io{1};
    HttpLimits limits;
    OpenSsl<SSL_CTX> tls;
    Handler handler;
    Log& log;
    RateLimit notes{notes_per_minute};
    std::list<Listener> listeners{};
    std::list<Descriptor> watches{};
    std::unordered_set<std::shared_ptr<Connection>> connections{};  // all that are open
    std::array<std::uint8_t, read_size> scratch{};                  // of whoever is reading now
    asio::steady_timer pause{io};
    asio::steady_timer end{io};
    bool accepting = false;
    bool stopping = false;

    Implementation(OpenSsl<SSL_CTX> context, Handler handle, Log& where, const HttpLimits& bounds)
        : limits(bounds), tls(std::move(context)), handler(std::move(handle)), log(where) {}

    void watch(Descriptor& descriptor, const std::function<void()>& ready);
    void accept_when_ready(Listener& listener);
    void accept(Listener& listener);
    void resume_accepting();
    void open(Accepted accepted);
    void closed(const std::shared_ptr<Connection>& connection);
    void stop();
    // What strangers do is noted within a bound.
    void note(const std::string& event, const Endpoint& from, const std::string& why);
};

using Server = HttpServer::Implementation;

// --- a connection ---------------------------------------------------------------------------------

class Connection : public std::enable_shared_from_this<Connection> {
public:
    Connection(Server& server, Accepted accepted, TlsSession tls)
        : m_server(server),
          m_fd(std::move(accepted.socket)),
          m_from(accepted.from),
          m_socket(server.io, m_fd.get()),
          m_deadline(server.io),
          m_tls(std::move(tls)),
          m_reader(server.limits.head, server.limits.body) {}
    ~Connection() { m_socket.release(); }  // m_fd closes it

    void start() {
        set_deadline(m_server.limits.handshake);
        advance();
    }

    // The server stops: a connection between two requests ends now, others after their answer.
    void finish() {
        m_last = true;
        const bool is_idle = m_phase == Phase::Reading && !m_reader.has_begun();
        if (is_idle || m_phase == Phase::Handshaking || m_phase == Phase::Draining) abandon();
    }

    void abandon() {
        if (m_phase == Phase::Closed) return;
        m_phase = Phase::Closed;
        BoostError ignored;
        m_socket.cancel(ignored);
        cancel_deadline();
        m_server.closed(shared_from_this());
    }

private:
    enum class Phase { Handshaking, Reading, Handling, Writing, Draining, Closed };
    using Step = TlsSession::Step;

    // Goes as far as it can without waiting.
    void advance() {
        while (m_phase != Phase::Handling && m_phase != Phase::Closed) {
            switch (take_step()) {
                case Step::Done: continue;
                case Step::WantRead: return wait(Descriptor::wait_read);
                case Step::WantWrite: return wait(Descriptor::wait_write);
                case Step::Failed:
                    m_server.note(m_phase == Phase::Handshaking ? "handshake-failed" : "tls-failed",
                                  m_from, m_tls.why());
                    [[fallthrough]];
                case Step::Closed: return abandon();
            }
        }
    }

    Step take_step() {
        switch (m_phase) {
            case Phase::Handshaking: return shake_hands();
            case Phase::Reading: return read();
            case Phase::Writing: return write();
            case Phase::Draining: return drain();
            default: return Step::Closed;
        }
    }

    void wait(Descriptor::wait_type what) {
        m_socket.async_wait(what, [self = shared_from_this()](BoostError error) {
            if (!error) self->advance();
        });
    }

    // The number tells a deadline that was replaced while its handler was already queued.
    void set_deadline(Duration span) {
        m_deadline.expires_after(span);
        m_deadline.async_wait(
            [self = shared_from_this(), number = ++m_deadline_number](BoostError error) {
                if (error || number != self->m_deadline_number) return;
                self->on_deadline();
            });
    }

    // A client that has said nothing more is no news.
    void on_deadline() {
        if (m_phase != Phase::Draining && (m_phase != Phase::Reading || m_in_request))
            m_server.note("too-slow", m_from, "a deadline passed");
        abandon();
    }

    void cancel_deadline() {
        ++m_deadline_number;
        m_deadline.cancel();
    }

    Step shake_hands() {
        const Step step = m_tls.handshake();
        if (step == Step::Done) {
            m_phase = Phase::Reading;
            set_deadline(m_server.limits.first_byte);
        }
        return step;
    }

    // --- reading ---

    Step read() {
        if (take_request()) return Step::Done;
        auto& scratch = m_server.scratch;
        std::size_t size = 0;
        const Step step = m_tls.read(scratch, size);
        if (step != Step::Done) return step;
        m_reader.append(ByteView(scratch).first(size));
        wipe(scratch.data(), size);
        return step;
    }

    // Whether there was one, or something that can't become one: the phase has changed then.
    bool take_request() {
        const bool had_head = m_reader.has_head();
        auto outcome = m_reader.next();
        if (auto* whole = std::get_if<HttpRequestReader::Whole>(&outcome)) {
            hand_on(std::move(*whole));
            return true;
        }
        if (auto* refused = std::get_if<HttpRequestReader::Refused>(&outcome)) {
            refuse(refused->status, refused->why);
            return true;
        }
        if (m_reader.has_begun() && !m_in_request) {
            m_in_request = true;
            set_deadline(m_server.limits.request_head);
        }
        if (m_reader.has_head() && !had_head) set_deadline(m_server.limits.request_body);
        return false;
    }

    // Refuses without a handler, and ends the connection.
    void refuse(int status, std::string_view why) {
        m_server.note("bad-request", m_from, std::string(why));
        m_last = true;
        const Refusal refusal{RefusalCode::BadRequest, std::string(why)};
        send({status, {{"Content-Type", "application/json"}}, to_json_text(refusal)});
    }

    void hand_on(HttpRequestReader::Whole whole) {
        auto exporter = m_tls.exporter();
        if (!exporter) return abandon();
        whole.request.exporter = std::move(*exporter);
        whole.request.from = m_from;
        m_in_request = false;
        m_last =
            m_last || !whole.keep_alive || ++m_requests >= m_server.limits.requests_per_connection;
        cancel_deadline();
        m_phase = Phase::Handling;
        m_server.handler(std::move(whole.request), reply());
    }

    // Always by way of the loop: the handler may answer before it returns, later, or from elsewhere.
    Reply reply() {
        return [weak = weak_from_this(), executor = m_server.io.get_executor()](Answer answer) {
            asio::post(executor, [weak, answer = std::move(answer)]() mutable {
                const auto self = weak.lock();
                if (!self || self->m_phase != Phase::Handling) return;
                self->send(std::move(answer));
                self->advance();
            });
        };
    }

    // --- writing ---

    void send(Answer answer) {
        const auto reason =
            http::obsolete_reason(http::int_to_status(static_cast<unsigned>(answer.status)));
        m_out = "HTTP/1.1 " + std::to_string(answer.status) + " " + std::string(reason) + "\r\n";
        for (const auto& [name, value] : answer.headers) m_out += name + ": " + value + "\r\n";
        m_out += "Content-Length: " + std::to_string(answer.body.size()) + "\r\n";
        if (m_last) m_out += "Connection: close\r\n";
        m_out += "\r\n" + answer.body;
        m_sent = 0;
        m_phase = Phase::Writing;
        set_deadline(m_server.limits.answer);
    }

    Step write() {
        std::size_t size = 0;
        const Step step = m_tls.write(as_bytes(m_out).subspan(m_sent), size);
        if (step != Step::Done) return step;
        m_sent += size;
        if (m_sent < m_out.size()) return step;
        m_out = {};
        if (m_last) {
            m_phase = Phase::Draining;
            set_deadline(m_server.limits.drain);
            m_tls.close();
            ::shutdown(m_fd.get(), SHUT_WR);
        } else {
            m_phase = Phase::Reading;
            set_deadline(m_server.limits.first_byte);
        }
        return step;
    }

    // Closing with unread bytes resets the connection, and the client would lose its answer.
    Step drain() {
        char bytes[read_size];
        const auto size = ::recv(m_fd.get(), bytes, sizeof(bytes), 0);
        if (size < 0 && errno == EAGAIN) return Step::WantRead;
        if (size <= 0) return Step::Closed;
        m_drained += static_cast<std::size_t>(size);
        return m_drained < m_server.limits.drained ? Step::Done : Step::Closed;
    }

    Server& m_server;
    Fd m_fd;
    Endpoint m_from;
    Descriptor m_socket;
    asio::steady_timer m_deadline;
    TlsSession m_tls;
    Phase m_phase = Phase::Handshaking;
    HttpRequestReader m_reader;
    bool m_in_request = false;  // a part of a request has come
    std::string m_out{};
    std::size_t m_sent = 0;
    std::size_t m_drained = 0;
    unsigned m_requests = 0;
    unsigned m_deadline_number = 0;
    bool m_last = false;  // close after this answer
};

// --- the server -----------------------------------------------------------------------------------

void Server::watch(Descriptor& descriptor, const std::function<void()>& ready) {
    descriptor.async_wait(Descriptor::wait_read, [this, &descriptor, ready](BoostError error) {
        if (error) return;
        ready();
        watch(descriptor, ready);
    });
}

void Server::accept_when_ready(Listener& listener) {
    listener.descriptor.async_wait(Descriptor::wait_read, [this, &listener](BoostError error) {
        if (!error && !stopping) accept(listener);
    });
}

void Server::accept(Listener& listener) {
    for (int i = 0; i < accepts_per_turn; ++i) {
        if (connections.size() >= limits.connections) {
            accepting = false;  // closed() goes on
            return;
        }
        auto accepted = accept_from(listener.fd.get());
        if (!accepted) {
            log.write({Level::Error, "accept-failed", accepted.error().text()});
            accepting = false;
            pause.expires_after(limits.accept_pause);
            pause.async_wait([this](BoostError error) {
                if (!error) resume_accepting();
            });
            return;
        }
        if (!accepted->socket.valid()) break;
        open(std::move(*accepted));
    }
    accept_when_ready(listener);
}

void Server::resume_accepting() {
    if (accepting || stopping) return;
    accepting = true;
    for (auto& listener : listeners) {
        BoostError ignored;
        listener.descriptor.cancel(ignored);
        accept_when_ready(listener);
    }
}

void Server::open(Accepted accepted) {
    const Endpoint from = accepted.from;
    auto tls = TlsSession::create(this->tls.get(), accepted.socket.get());
    if (!tls) {
        note("no-memory", from, tls.error().text());
        return;
    }
    try {
        auto connection = std::make_shared<Connection>(*this, std::move(accepted), std::move(*tls));
        connections.insert(connection);
        connection->start();
    } catch (const std::exception& error) {
        note("no-memory", from, error.what());
    }
}

void Server::closed(const std::shared_ptr<Connection>& connection) {
    connections.erase(connection);
    if (stopping && connections.empty())
        io.stop();
    else
        resume_accepting();
}

void Server::stop() {
    if (stopping) return;
    stopping = true;
    pause.cancel();
    for (auto& listener : listeners) {
        BoostError ignored;
        listener.descriptor.cancel(ignored);
    }
    end.expires_after(limits.shutdown);
    end.async_wait([this](BoostError error) {
        if (!error) io.stop();
    });
    // finish() may end a connection, and with it its place in the set.
    for (const auto& connection : std::vector(connections.begin(), connections.end()))
        connection->finish();
    if (connections.empty()) io.stop();
}

void Server::note(const std::string& event, const Endpoint& from, const std::string& why) {
    if (!notes.allow(wall_now())) return;
    log.write({Level::Info,
               event,
               from.text() + ": " + printable(why),
               {{"from", from.text()},
                {"not_logged_before", static_cast<std::int64_t>(notes.take_unsaid())}}});
}

HttpServer::HttpServer(std::unique_ptr<Implementation> implementation)
    : m_implementation(std::move(implementation)) {}

HttpServer::~HttpServer() {
    // Their owners close them.
    for (auto& watch : m_implementation->watches) watch.release();
    for (auto& listener : m_implementation->listeners) listener.descriptor.release();
}

Result<std::unique_ptr<HttpServer>> HttpServer::create(std::vector<Fd> listeners,
                                                       OpenSsl<SSL_CTX> tls, Handler handler,
                                                       Log& log, const HttpLimits& limits) try {
    auto server = std::make_unique<Implementation>(std::move(tls), std::move(handler), log, limits);
    for (auto& fd : listeners) {
        const int number = fd.get();
        server->listeners.push_back({std::move(fd), Descriptor(server->io, number)});
    }
    return std::unique_ptr<HttpServer>(new HttpServer(std::move(server)));
} catch (const std::exception& error) {
    return fail(ErrorCode::Internal, "cannot start the HTTP server", error.what());
}

Status HttpServer::watch(int fd, std::function<void()> ready) try {
    auto& watches = m_implementation->watches;
    m_implementation->watch(watches.emplace_back(m_implementation->io, fd), ready);
    return {};
} catch (const std::exception& error) {
    return fail(ErrorCode::Internal, "cannot watch a descriptor", error.what());
}

Status HttpServer::run() try {
    m_implementation->resume_accepting();
    m_implementation->io.run();
    return {};
} catch (const std::exception& error) {
    return fail(ErrorCode::Internal, "the HTTP server failed", error.what());
}

void HttpServer::stop() { m_implementation->stop(); }

}  // namespace fortros::gateway
