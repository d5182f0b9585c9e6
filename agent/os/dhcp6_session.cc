#include "os/dhcp6_session.h"

namespace fortros {

// Another client may have the port, for a while.
static constexpr Duration socket_retry = 2s;

void Dhcp6Session::start(Dhcp6Wish wish, MacAddress mac, const IpAddress& own) {
    stop();
    auto socket = Dhcp6Socket::open(m_loop, m_ifindex, own, [this](ByteView payload) {
        perform(m_client.received(payload, monotonic_now()));
    });
    if (!socket) {
        m_trouble = socket.error().text();
        m_timer = m_loop.after(socket_retry, [=, this] { start(wish, mac, own); });
        return m_events.progressed();
    }
    m_socket = *std::move(socket);
    m_client.set_mac(mac);
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

void Dhcp6Session::perform(const Dhcp6Client::Step& step) {
    if (!step.send.empty()) {
        // A message that could not be sent is one that was lost: the client will send it again.
        const Status sent = m_socket->send(step.send);
        m_trouble = sent ? std::string() : sent.error().text();
    }
    const Instant deadline = m_client.deadline();
    m_timer = deadline == Instant::max()
                  ? Loop::Timer{}
                  : m_loop.at(deadline, [this] { perform(m_client.tick(monotonic_now())); });
    if (step.empty()) return;  // a stranger's packet, most often
    if (step.lost) m_events.lost(*step.lost);
    if (step.bound) m_events.bound(*m_client.lease());
    m_events.progressed();
}

}  // namespace fortros
