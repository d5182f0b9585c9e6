// One client's connection: TLS, then requests and answers in turn, each phase with its deadline. It
// knows no other connection, and no target.
//
//   accepted ─▶ first word ─▶ turn ─▶ handshake ─▶ head ─▶ body ─▶ handler ─▶ answer ─┬─▶ drain ─▶ closed
//                                                   ▲                                 │
//                                                   └───────────── keep-alive ◀───────┘
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "gateway/exchange.h"
#include "gateway/http_request_reader.h"
#include "gateway/listener.h"
#include "gateway/tls_session.h"
#include "os/fd.h"
#include "os/loop.h"

namespace fortros::gateway {

struct HttpLimits {
    std::size_t head = std::size_t{8} * 1024;
    std::size_t body = std::size_t{32} * 1024;
    unsigned requests_per_connection = 100;
    std::size_t drained = std::size_t{1024} * 1024;  // of what a refused client still sends
    // Counted from the beginning of each phase: a byte a second does not extend it.
    Duration first_word = 10s;  // the whole ClientHello, from the accept
    // Until it is this client's turn: shorter than nodes wait (5 s), who would be served when they
    // have gone.
    Duration turn = 4s;
    Duration handshake = 10s;
    Duration first_byte = 10s;  // after the handshake, and between requests
    Duration request_head = 10s;
    Duration request_body = 10s;
    Duration answer = 20s;
    Duration drain = 2s;
};

// In their order; a closed one is gone.
inline constexpr std::array<std::string_view, 8> connection_states{
    "silent", "waiting", "handshaking", "reading", "handling", "writing", "draining", "closed"};

class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
public:
    // What a connection needs of its server. Outlives it.
    class Owner {
    public:
        virtual ~Owner() = default;
        // There is something to do for it: begin() when it is its turn.
        virtual void knocks(HttpConnection& connection) = 0;
        virtual void has_shaken_hands(HttpConnection& connection) = 0;
        virtual void handle(HttpConnection& connection, Request request, Reply reply) = 0;
        // It has ended, and may be destroyed.
        virtual void ended(HttpConnection& connection) = 0;
        // What strangers do is noted within a bound.
        virtual void note(std::string_view event, const Endpoint& from, std::string_view why) = 0;
    };

    // All borrowed. `scratch` is for whoever is reading now.
    struct Ground {
        Loop& loop;
        const HttpLimits& limits;
        Owner& owner;
        std::span<std::uint8_t> scratch;
    };

    HttpConnection(std::uint64_t id, const Ground& ground, Accepted accepted);
    HttpConnection(const HttpConnection&) = delete;
    HttpConnection& operator=(const HttpConnection&) = delete;

    std::uint64_t id() const { return m_id; }
    const Endpoint& from() const { return m_from; }

    // What it is at: one of connection_states.
    std::string_view state() const { return connection_states[static_cast<std::size_t>(m_phase)]; }

    // Waits for the client's first word.
    Status start();
    // Its turn: the handshake, and all that follows.
    void begin(SSL_CTX* tls);
    // The server stops: a connection between two requests ends now, others after their answer.
    void finish();
    void abandon();

private:
    enum class Phase { Silent, Waiting, Handshaking, Reading, Handling, Writing, Draining, Closed };
    using Step = TlsSession::Step;

    void on_ready(std::uint32_t events);
    void on_first_word();
    bool waits_for_whole_hello();
    bool set_low_water(std::size_t bytes);
    void on_deadline();
    void advance();
    Step take_step();
    void wait_for(std::uint32_t events);
    void enter(Phase phase, Duration limit);

    Step shake_hands();
    Step read();
    bool take_request();
    void refuse(int status, std::string_view why);
    void hand_on(HttpRequestReader::Whole whole);
    Reply reply();
    void send(Answer answer);
    ByteView unsent() const;
    Step write();
    Step drain();

    std::uint64_t m_id;
    Ground m_ground;
    Fd m_fd;
    Endpoint m_from;
    std::optional<TlsSession> m_tls{};
    HttpRequestReader m_reader;
    Phase m_phase = Phase::Silent;
    Loop::Watch m_watch;
    std::uint32_t m_watched = 0;
    std::size_t m_low_water = 1;  // so many bytes must be there for it to be ready
    Loop::Timer m_deadline;
    std::shared_ptr<std::atomic<bool>> m_gone{};  // of the request that is handled
    Loop::Timer m_answered;                       // an answer is on its way
    bool m_in_request = false;                    // a part of a request has come
    // When the client began to wait for an answer; absent: between two requests.
    std::optional<Instant> m_since{};
    std::string m_out{};
    std::shared_ptr<const std::string> m_shared_out{};  // what follows, if anything
    std::size_t m_sent = 0;                             // of both
    std::size_t m_drained = 0;
    unsigned m_requests = 0;
    bool m_last = false;  // close after this answer
};

}  // namespace fortros::gateway
