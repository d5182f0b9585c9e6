#include "os/dhcp6_session.h"

namespace fortros {

// Another client may have the port, for a while.
static constexpr Duration socket_retry = 2s;

void Dhcp6Session::start(Dhcp6Wish wish, const IpAddress& own) {
    stop();
    auto socket = Dhcp6Socket::open(m_loop, m_ifindex, own, [this](ByteView payload) {
        perform(m_client.received(payload, monotonic_now()));
    });
    if (!socket) {
        m_trouble = socket.error().text();
        m_timer = m_loop.after(socket_retry, [this, wish, own] { start(wish, own); });
        return m_events.progressed();
    }
    m_socket = *std::move(socket);
    m_client.start(wish, monotonic_now());
    perform({});
}

void Dhcp6Session::stop() {
    m_timer = {};
    m_socket.reset();
    m_trouble.clear();
}

std::string Dhcp6Session::problem() const {
    if (!m_trouble.empty()) return m_trouble;
    return m_socket ? m_client.problem() : std::string();
}

void Dhcp6Session::perform(const std::vector<Dhcp6Client::Action>& actions) {
    for (const auto& action : actions) {
        const auto* message = std::get_if<Dhcp6Client::Send>(&action);
        if (!message) continue;
        // A message that could not be sent is one that was lost: the client will send it again.
        const Status sent = m_socket->send(message->payload);
        m_trouble = sent ? std::string() : sent.error().text();
    }
    const Instant deadline = m_client.deadline();
    m_timer = deadline == Instant::max()
                  ? Loop::Timer{}
                  : m_loop.at(deadline, [this] { perform(m_client.tick(monotonic_now())); });
    if (actions.empty()) return;  // a stranger's packet, most often
    for (const auto& action : actions) {
        if (const auto* bound = std::get_if<Dhcp6Client::Bound>(&action)) {
            m_events.bound(bound->lease);
        } else if (const auto* lost = std::get_if<Dhcp6Client::Lost>(&action)) {
            m_events.lost(lost->lease, lost->why);
        }
    }
    m_events.progressed();
}

}  // namespace fortros
