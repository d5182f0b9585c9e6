#include "os/handshake.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace fortros {

static constexpr Duration shortest_pause = 5ms;
static constexpr Duration longest_pause = 100ms;
static constexpr std::uint16_t discard_port = 9;  // RFC 863

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

Result<std::unique_ptr<HandshakeWatch>> HandshakeWatch::start(Loop& loop, WireGuard& wireguard,
                                                              const std::string& interface,
                                                              const PublicKey& peer,
                                                              const IpAddress& overlay_address,
                                                              Answered answered) {
    TRY(send_datagram(interface, overlay_address));
    std::unique_ptr<HandshakeWatch> watch(
        new HandshakeWatch(loop, wireguard, interface, peer, std::move(answered)));
    watch->m_timer = loop.after(shortest_pause, [self = watch.get()] { self->look(); });
    return watch;
}

void HandshakeWatch::look() {
    const auto status = m_wireguard.status(m_interface);
    if (status) {
        const auto peer = std::ranges::find(
            status->peers, m_peer, [](const auto& candidate) { return candidate.peer.key; });
        if (peer != status->peers.end() && peer->last_handshake) return m_answered();
    }
    m_pause = std::clamp(m_pause * 2, shortest_pause, longest_pause);
    m_timer = m_loop.after(m_pause, [this] { look(); });
}

}  // namespace fortros
