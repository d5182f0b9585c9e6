#include "gateway/http_connection.h"

#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/secret.h"
#include "base/text.h"
#include "core/messages.h"
#include "gateway/tls_record.h"

namespace fortros::gateway {

static constexpr std::size_t drain_size = std::size_t{4} * 1024;
// A smaller body goes out together with its head.
static constexpr std::size_t worth_lending = std::size_t{4} * 1024;

HttpConnection::HttpConnection(std::uint64_t id, const Ground& ground, Accepted accepted)
    : m_id(id),
      m_ground(ground),
      m_fd(std::move(accepted.socket)),
      m_from(accepted.from),
      m_reader(ground.limits.head, ground.limits.body) {}

Status HttpConnection::start() {
    m_watched = EPOLLIN | EPOLLRDHUP;
    m_watch = TRY(m_ground.loop.watch(m_fd.get(), m_watched, [this](std::uint32_t events) {
        const auto self = shared_from_this();  // it may end in here
        on_ready(events);
    }));
    enter(Phase::Silent, m_ground.limits.first_word);
    return {};
}

void HttpConnection::begin(SSL_CTX* tls) {
    if (m_phase != Phase::Waiting) return;
    auto session = TlsSession::create(tls, m_fd.get());
    if (!session) {
        m_ground.owner.note("no-memory", m_from, session.error().text());
        return abandon();
    }
    m_tls.emplace(std::move(*session));
    enter(Phase::Handshaking, m_ground.limits.handshake);
    advance();
}

void HttpConnection::finish() {
    m_last = true;
    const bool is_idle = m_phase == Phase::Reading && !m_reader.has_begun();
    if (is_idle || m_phase < Phase::Reading || m_phase == Phase::Draining) abandon();
}

void HttpConnection::abandon() {
    if (m_phase == Phase::Closed) return;
    m_phase = Phase::Closed;
    if (m_gone) *m_gone = true;
    m_deadline = {};
    m_watch = {};
    m_ground.owner.ended(*this);
}

void HttpConnection::on_ready(std::uint32_t events) {
    switch (m_phase) {
        case Phase::Silent:
            if ((events & ~EPOLLIN) != 0) return abandon();  // it has gone
            return on_first_word();
        case Phase::Waiting:
        case Phase::Handling: return abandon();  // it has gone
        default: return advance();               // a failure shows when the socket is used
    }
}

void HttpConnection::on_first_word() {
    if (waits_for_whole_hello()) return;
    set_low_water(1);
    m_since = monotonic_now();
    enter(Phase::Waiting, m_ground.limits.turn);
    // What it has sent waits in the kernel, and would wake us all the time.
    wait_for(EPOLLRDHUP);
    if (m_phase == Phase::Waiting) m_ground.owner.knocks(*this);
}

// A part of its first message stays in the kernel until the rest is there: there is nothing to do for
// it. Woken up all the same, as happens when the kernel is short of memory, we take what there is.
bool HttpConnection::waits_for_whole_hello() {
    ByteArray<tls_record_head> head;
    int available = 0;
    const auto peeked = ::recv(m_fd.get(), head.data(), head.size(), MSG_PEEK);
    if (peeked <= 0 || ::ioctl(m_fd.get(), FIONREAD, &available) < 0) return false;
    const auto size = first_record_size(ByteView(head).first(static_cast<std::size_t>(peeked)));
    return static_cast<std::size_t>(available) < size && size != m_low_water && set_low_water(size);
}

bool HttpConnection::set_low_water(std::size_t bytes) {
    if (bytes == m_low_water) return true;
    m_low_water = bytes;
    const int value = static_cast<int>(bytes);
    return ::setsockopt(m_fd.get(), SOL_SOCKET, SO_RCVLOWAT, &value, sizeof(value)) == 0;
}

// A client that has said nothing (more) is no news.
void HttpConnection::on_deadline() {
    const bool is_idle = m_phase == Phase::Silent || m_phase == Phase::Draining ||
                         (m_phase == Phase::Reading && !m_in_request);
    if (m_phase == Phase::Waiting)
        m_ground.owner.note("too-busy", m_from, "more wait than can be served in time");
    else if (!is_idle)
        m_ground.owner.note("too-slow", m_from, "a deadline passed");
    abandon();
}

// Goes as far as it can without waiting.
void HttpConnection::advance() {
    while (m_phase != Phase::Handling && m_phase != Phase::Closed) {
        switch (take_step()) {
            case Step::Done: continue;
            case Step::WantRead: return wait_for(EPOLLIN);
            case Step::WantWrite: return wait_for(EPOLLOUT);
            case Step::Failed:
                m_ground.owner.note(
                    m_phase == Phase::Handshaking ? "handshake-failed" : "tls-failed", m_from,
                    m_tls->why());
                [[fallthrough]];
            case Step::Closed: return abandon();
        }
    }
}

HttpConnection::Step HttpConnection::take_step() {
    switch (m_phase) {
        case Phase::Handshaking: return shake_hands();
        case Phase::Reading: return read();
        case Phase::Writing: return write();
        case Phase::Draining: return drain();
        default: return Step::Closed;
    }
}

// EPOLLHUP and EPOLLERR come unasked.
void HttpConnection::wait_for(std::uint32_t events) {
    if (events == m_watched) return;
    m_watched = events;
    if (!m_watch.change(events)) abandon();
}

void HttpConnection::enter(Phase phase, Duration limit) {
    m_phase = phase;
    m_deadline = m_ground.loop.after(limit, [this] {
        const auto self = shared_from_this();
        on_deadline();
    });
}

HttpConnection::Step HttpConnection::shake_hands() {
    const Step step = m_tls->handshake();
    if (step == Step::Done) {
        enter(Phase::Reading, m_ground.limits.first_byte);
        m_ground.owner.has_shaken_hands(*this);
    }
    return step;
}

// --- reading ---

HttpConnection::Step HttpConnection::read() {
    if (take_request()) return Step::Done;
    std::size_t size = 0;
    const Step step = m_tls->read(m_ground.scratch, size);
    if (step != Step::Done) return step;
    if (!m_since) m_since = monotonic_now();
    m_reader.append(ByteView(m_ground.scratch).first(size));
    wipe(m_ground.scratch.data(), size);
    return step;
}

// Whether there was one, or something that can't become one: the phase has changed then.
bool HttpConnection::take_request() {
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
        enter(Phase::Reading, m_ground.limits.request_head);
    }
    if (m_reader.has_head() && !had_head) enter(Phase::Reading, m_ground.limits.request_body);
    return false;
}

// Refuses without a handler, and ends the connection.
void HttpConnection::refuse(int status, std::string_view why) {
    m_ground.owner.note("bad-request", m_from, why);
    m_last = true;
    const Refusal refusal{RefusalCode::BadRequest, std::string(why)};
    send({status, {{"Content-Type", "application/json"}}, to_json_text(refusal)});
}

void HttpConnection::hand_on(HttpRequestReader::Whole whole) {
    auto exporter = m_tls->exporter();
    if (!exporter) return abandon();
    whole.request.exporter = std::move(*exporter);
    whole.request.from = m_from;
    whole.request.since = m_since.value_or(monotonic_now());
    m_gone = std::make_shared<std::atomic<bool>>(false);
    whole.request.gone = m_gone;
    m_since.reset();
    m_in_request = false;
    m_last = m_last || !whole.keep_alive || ++m_requests >= m_ground.limits.requests_per_connection;
    m_phase = Phase::Handling;
    m_deadline = {};
    // What it sends before its answer can wait; that it has gone, not.
    wait_for(EPOLLRDHUP);
    if (m_phase == Phase::Handling) m_ground.owner.handle(*this, std::move(whole.request), reply());
}

// Always by way of the loop: the handler may answer before it returns.
Reply HttpConnection::reply() {
    return [weak = weak_from_this()](Answer answer) {
        const auto self = weak.lock();
        if (!self || self->m_phase != Phase::Handling) return;
        HttpConnection* connection = self.get();
        connection->m_answered =
            connection->m_ground.loop.after({}, [connection, answer = std::move(answer)]() mutable {
                const auto alive = connection->shared_from_this();
                if (alive->m_phase != Phase::Handling) return;
                alive->send(std::move(answer));
                alive->advance();
            });
    };
}

// --- writing ---

void HttpConnection::send(Answer answer) {
    m_out = "HTTP/1.1 " + std::to_string(answer.status) + " " + reason_of(answer.status) + "\r\n";
    for (const auto& [name, value] : answer.headers)
        m_out.append(name).append(": ").append(value).append("\r\n");
    // A 204 has no body, and may not say how long it is (RFC 9110, section 8.6).
    if (answer.status != 204)
        m_out += "Content-Length: " + std::to_string(answer.content().size()) + "\r\n";
    if (m_last) m_out += "Connection: close\r\n";
    const auto content = answer.content();
    const bool is_lent = answer.shared_body && content.size() >= worth_lending;
    m_out.append("\r\n").append(is_lent ? "" : content);
    m_shared_out = is_lent ? std::move(answer.shared_body) : nullptr;
    m_sent = 0;
    enter(Phase::Writing, m_ground.limits.answer);
}

ByteView HttpConnection::unsent() const {
    if (m_sent < m_out.size()) return as_bytes(m_out).subspan(m_sent);
    return m_shared_out ? as_bytes(*m_shared_out).subspan(m_sent - m_out.size()) : ByteView();
}

HttpConnection::Step HttpConnection::write() {
    std::size_t size = 0;
    const Step step = m_tls->write(unsent(), size);
    if (step != Step::Done) return step;
    m_sent += size;
    if (!unsent().empty()) return step;
    m_shared_out.reset();
    m_out.clear();
    m_out.shrink_to_fit();
    if (m_last) {
        enter(Phase::Draining, m_ground.limits.drain);
        m_tls->close();
        ::shutdown(m_fd.get(), SHUT_WR);
    } else {
        enter(Phase::Reading, m_ground.limits.first_byte);
    }
    return step;
}

// Closing with unread bytes resets the connection, and the client would lose its answer.
HttpConnection::Step HttpConnection::drain() {
    char bytes[drain_size];
    const auto size = ::recv(m_fd.get(), bytes, sizeof(bytes), 0);
    if (size < 0 && errno == EAGAIN) return Step::WantRead;
    if (size <= 0) return Step::Closed;
    m_drained += static_cast<std::size_t>(size);
    return m_drained < m_ground.limits.drained ? Step::Done : Step::Closed;
}

}  // namespace fortros::gateway
