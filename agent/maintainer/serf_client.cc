#include "maintainer/serf_client.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "os/tcp.h"

namespace fortros {

static constexpr Duration first_pause = 500ms;
static constexpr Duration longest_pause = 15s;
static constexpr std::size_t portion = std::size_t{64} * 1024;
// An agent that reads nothing is as good as none.
static constexpr std::size_t unsent_limit = std::size_t{256} * 1024;

SerfClient::SerfClient(Loop& loop, Random& random, Log& log, const Endpoint& agent,
                       std::string password, Hear hear)
    : m_loop(loop),
      m_random(random),
      m_log(log),
      m_agent(agent),
      m_password(std::move(password)),
      m_hear(std::move(hear)) {
    m_retry = m_loop.after(Duration::zero(), [this] { connect(); });
}

void SerfClient::announce(Bytes attestation) {
    if (attestation == m_attestation) return;
    m_attestation = std::move(attestation);
    if (m_conversation) say(m_conversation->announce(m_attestation));
}

void SerfClient::introduce(std::vector<IpAddress> overlay_addresses) {
    if (overlay_addresses == m_others) return;
    m_others = std::move(overlay_addresses);
    if (m_conversation && !m_others.empty()) say(m_conversation->join(m_others));
}

void SerfClient::ask_coordinate(const PublicKey& node) {
    if (m_conversation) say(m_conversation->ask_coordinate(node));
}

void SerfClient::connect() {
    auto socket = start_connecting(m_agent, 0);
    if (!socket) return lose(socket.error());
    m_socket = std::move(*socket);
    auto watch =
        m_loop.watch(m_socket.get(), EPOLLOUT, [this](std::uint32_t events) { ready(events); });
    if (!watch) return lose(watch.error());
    m_watch = std::move(*watch);
}

void SerfClient::ready(std::uint32_t events) {
    if (Status status = advance(events); !status) lose(status.error());
}

Status SerfClient::advance(std::uint32_t events) {
    if (!m_conversation) return begin();
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) TRY(receive());
    return m_conversation ? send() : Status{};
}

Status SerfClient::begin() {
    TRY(finish_connecting(m_socket));
    m_conversation.emplace();
    m_failures = 0;
    m_unsent = m_conversation->begin(m_password);
    if (!m_attestation.empty()) queue(m_conversation->announce(m_attestation));
    if (!m_others.empty()) queue(m_conversation->join(m_others));
    m_log.write({.level = Level::Info,
                 .event = "serf-connected",
                 .message = "connected to the Serf agent at " + m_agent.text()});
    return send();
}

void SerfClient::queue(const Result<Bytes>& request) {
    if (!request || m_unsent.size() + request->size() > unsent_limit) return;
    m_unsent.insert(m_unsent.end(), request->begin(), request->end());
}

void SerfClient::say(const Result<Bytes>& request) {
    queue(request);
    if (Status status = send(); !status) lose(status.error());
}

Status SerfClient::send() {
    while (!m_unsent.empty()) {
        const auto sent = ::send(m_socket.get(), m_unsent.data(), m_unsent.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN) break;
        if (sent < 0) return fail_errno(errno, "cannot write to the Serf agent");
        m_unsent.erase(m_unsent.begin(), m_unsent.begin() + sent);
    }
    return m_watch.change(m_unsent.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

Status SerfClient::receive() {
    // One portion a turn: the loop has others to serve.
    std::array<std::uint8_t, portion> buffer;
    const auto got = ::recv(m_socket.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return {};
    if (got < 0) return fail_errno(errno, "cannot read from the Serf agent");
    if (got == 0) return fail(ErrorCode::Unreachable, "the Serf agent has closed the connection");
    auto heard = TRY(m_conversation->hear(ByteView(buffer).first(static_cast<std::size_t>(got))));
    for (auto& item : heard) m_hear(std::move(item));
    return {};
}

void SerfClient::lose(const Error& error) {
    const bool was_connected = std::exchange(m_conversation, std::nullopt).has_value();
    m_watch = {};
    m_socket.reset();
    m_unsent.clear();
    // Once for each time that it is lost, and once for an agent that never was there.
    if (was_connected || m_failures == 0)
        m_log.write({.level = Level::Warning,
                     .event = "serf-lost",
                     .message = "no connection to the Serf agent, trying again: " + error.text()});
    const Duration pause = std::min(longest_pause, first_pause * (1 << std::min(m_failures, 5U)));
    m_failures = std::min(m_failures + 1, 100U);
    const auto jitter = static_cast<std::int64_t>(
        m_random.below(static_cast<std::uint64_t>(pause.count() / 2) + 1));
    m_retry = m_loop.after(pause + Duration{jitter}, [this] { connect(); });
}

}  // namespace fortros
