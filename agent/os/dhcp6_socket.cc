#include "os/dhcp6_socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/dhcp6_message.h"

namespace fortros {

// Then others have their turn; what is left makes epoll call again.
static constexpr int packets_per_turn = 16;

// All_DHCP_Relay_Agents_and_Servers (RFC 8415 section 7.1).
static const IpAddress all_servers =
    IpAddress::v6({0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2});

static sockaddr_in6 socket_address(const IpAddress& address, std::uint16_t port, unsigned ifindex) {
    sockaddr_in6 out{.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_scope_id = ifindex};
    std::ranges::copy(address.bytes(), out.sin6_addr.s6_addr);
    return out;
}

Result<std::unique_ptr<Dhcp6Socket>> Dhcp6Socket::open(Loop& loop, unsigned ifindex,
                                                       const IpAddress& own, Received received) {
    std::unique_ptr<Dhcp6Socket> made(new Dhcp6Socket(ifindex, std::move(received)));
    Fd& fd = made->m_socket;
    fd = Fd{::socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP)};
    if (!fd.valid()) return fail_errno(errno, "cannot open a UDP socket");
    const int on = 1;
    const int device = static_cast<int>(ifindex);
    const sockaddr_in6 self = socket_address(own, dhcp6_client_port, ifindex);
    if (::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0 ||
        ::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTOIFINDEX, &device, sizeof(device)) < 0 ||
        ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&self), sizeof(self)) < 0)
        return fail_errno(errno, "cannot use the DHCPv6 client's port");
    made->m_watch =
        TRY(loop.watch(fd.get(), EPOLLIN, [raw = made.get()](std::uint32_t) { raw->read(); }));
    return made;
}

Status Dhcp6Socket::send(ByteView payload) {
    const sockaddr_in6 servers = socket_address(all_servers, dhcp6_server_port, m_ifindex);
    if (::sendto(m_socket.get(), payload.data(), payload.size(), 0,
                 reinterpret_cast<const sockaddr*>(&servers), sizeof(servers)) < 0)
        return fail_errno(errno, "cannot send a DHCPv6 message");
    return {};
}

void Dhcp6Socket::read() {
    std::array<std::uint8_t, dhcp6_message_limit + 1> buffer;  // one more: too long is seen
    for (int i = 0; i < packets_per_turn; ++i) {
        const ssize_t size = ::recv(m_socket.get(), buffer.data(), buffer.size(), 0);
        if (size < 0) return;
        m_received(ByteView(buffer).first(static_cast<std::size_t>(size)));
    }
}

}  // namespace fortros
