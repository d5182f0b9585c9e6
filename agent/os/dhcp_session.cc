#include "os/dhcp_session.h"

namespace fortros {

// What the kernel had not then, memory or a descriptor, it may have now.
static constexpr Duration socket_retry = 2s;

void DhcpSession::start(MacAddress mac) {
    stop();
    m_client.set_mac(mac);
    open();
}

void DhcpSession::open() {
    m_trouble.clear();
    auto socket = DhcpSocket::open(m_loop, m_ifindex, [this](ByteView payload) {
        perform(m_client.received(payload, monotonic_now()));
    });
    if (!socket) {
        m_trouble = socket.error().text();
        m_timer = m_loop.after(socket_retry, [this] { open(); });
        return m_events.progressed();
    }
    m_socket = *std::move(socket);
    perform(m_client.start(monotonic_now()));
}

void DhcpSession::stop() {
    m_timer = {};
    m_socket.reset();
}

void DhcpSession::perform(const std::vector<DhcpClient::Action>& actions) {
    for (const auto& action : actions)
        if (const auto* message = std::get_if<DhcpClient::Send>(&action)) send(*message);
    const Instant deadline = m_client.deadline();
    m_timer = deadline == Instant::max()
                  ? Loop::Timer{}
                  : m_loop.at(deadline, [this] { perform(m_client.tick(monotonic_now())); });
    if (actions.empty()) return;  // a stranger's packet, most often
    for (const auto& action : actions) {
        if (const auto* bound = std::get_if<DhcpClient::Bound>(&action)) {
            m_events.bound(bound->lease);
        } else if (const auto* lost = std::get_if<DhcpClient::Lost>(&action)) {
            m_events.lost(lost->lease, lost->why);
        }
    }
    m_events.progressed();
}

// A message that could not be sent is one that was lost: the client will send it again.
void DhcpSession::send(const DhcpClient::Send& send) {
    const Status sent = send.unicast_to
                            ? m_socket->unicast(send.payload, send.source, *send.unicast_to)
                            : m_socket->broadcast(send.payload, send.source);
    m_trouble = sent ? std::string() : sent.error().text();
}

}  // namespace fortros
