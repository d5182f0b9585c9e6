#include "os/handshake.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <tuple>

namespace fortros {

static constexpr Duration shortest_pause = 5ms;
static constexpr Duration longest_pause = 100ms;
static constexpr std::uint16_t discard_port = 9;  // RFC 863
// The kernel gives a peer up 90 s after the last packet for it.
static constexpr Duration packet_interval = 5s;

// Any packet to the peer makes the kernel send a handshake initiation. The answer to this one, if
// there is one at all, is of no interest.
static Status send_datagram(const std::string& interface, const IpAddress& address) {
    Fd socket{::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!socket.valid()) return fail_errno(errno, "cannot open a socket");
    if (::setsockopt(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, interface.c_str(),
                     static_cast<socklen_t>(interface.size())) < 0)
        return fail_errno(errno, "cannot bind a socket to " + interface);
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(discard_port);
    ASSERT(address.bytes().size() == sizeof to.sin6_addr);
    std::memcpy(&to.sin6_addr, address.bytes().data(), sizeof to.sin6_addr);
    if (::sendto(socket.get(), nullptr, 0, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) <
        0)
        return fail_errno(errno, "cannot send to " + address.text() + " through " + interface);
    return {};
}

std::unique_ptr<HandshakeWatch> HandshakeWatch::start(Loop& loop, WireGuard& wireguard,
                                                      const std::string& interface,
                                                      const PublicKey& peer,
                                                      const IpAddress& overlay_address,
                                                      Answered answered) {
    std::unique_ptr<HandshakeWatch> watch(
        new HandshakeWatch(loop, wireguard, interface, peer, overlay_address, std::move(answered)));
    watch->m_timer = loop.after(0s, [self = watch.get()] { self->look(); });
    return watch;
}

void HandshakeWatch::look() {
    const auto status = m_wireguard.status(m_interface);
    if (status) {
        const auto peer = std::ranges::find(
            status->peers, m_peer, [](const auto& candidate) { return candidate.peer.key; });
        if (peer != status->peers.end() && peer->last_handshake) {
            // It may end this watch.
            const Answered answered = std::move(m_answered);
            return answered();
        }
    }
    if (const Instant now = monotonic_now(); now >= m_next_packet) {
        // One that can't be sent, for want of a route perhaps, is sent again.
        std::ignore = send_datagram(m_interface, m_address);
        m_next_packet = now + packet_interval;
    }
    m_pause = std::clamp(m_pause * 2, shortest_pause, longest_pause);
    m_timer = m_loop.after(m_pause, [this] { look(); });
}

}  // namespace fortros
