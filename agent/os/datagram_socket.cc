#include "os/datagram_socket.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace fortros {

// Then others have their turn; what is left makes epoll call again.
static constexpr int datagrams_per_turn = 64;
static constexpr std::size_t bound_limit = 64;

static sockaddr_in6 address_of(const Endpoint& endpoint) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(endpoint.port);
    std::ranges::copy(endpoint.address.bytes(), address.sin6_addr.s6_addr);
    return address;
}

static Result<Fd> bind_to(const IpAddress& address, std::uint16_t port, unsigned ifindex) {
    Fd fd{::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    const std::string what =
        "cannot use UDP port " + std::to_string(port) + " of " + address.text();
    if (!fd.valid()) return fail_errno(errno, what);
    const int on = 1;
    const int index = static_cast<int>(ifindex);
    const sockaddr_in6 own = address_of({address, port});
    if (::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0 ||
        ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof on) < 0 ||
        ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on) < 0 ||
        (ifindex != 0 &&
         ::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTOIFINDEX, &index, sizeof index) < 0) ||
        ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) < 0) {
        if (errno == EADDRINUSE) return fail(ErrorCode::Conflict, what + ": it is taken");
        return fail_errno(errno, what);
    }
    return fd;
}

Result<std::unique_ptr<DatagramSocket>> DatagramSocket::open(Loop& loop, const IpAddress& address,
                                                             std::uint16_t port,
                                                             Received received) {
    ASSERT(!address.is_v4());
    auto fd = TRY(bind_to(address, port, 0));
    std::unique_ptr<DatagramSocket> socket(
        new DatagramSocket(address, std::move(fd), std::move(received)));
    socket->m_watch = TRY(loop.watch(socket->m_socket.get(), EPOLLIN,
                                     [raw = socket.get()](std::uint32_t) { raw->read(); }));
    return socket;
}

static unsigned arrival_of(msghdr& header) {
    for (cmsghdr* part = CMSG_FIRSTHDR(&header); part; part = CMSG_NXTHDR(&header, part))
        if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO) {
            in6_pktinfo info{};
            std::memcpy(&info, CMSG_DATA(part), sizeof info);
            return info.ipi6_ifindex;
        }
    return 0;
}

void DatagramSocket::read() {
    for (int i = 0; i < datagrams_per_turn; ++i) {
        std::uint8_t buffer[datagram_size_limit];
        alignas(cmsghdr) std::uint8_t control[CMSG_SPACE(sizeof(in6_pktinfo))];
        sockaddr_in6 source{};
        iovec part{buffer, sizeof buffer};
        msghdr header{};
        header.msg_name = &source;
        header.msg_namelen = sizeof source;
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        header.msg_control = control;
        header.msg_controllen = sizeof control;
        const ssize_t size = ::recvmsg(m_socket.get(), &header, 0);
        // Nothing waits, or an ICMP error of something that was sent, which is no news.
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (size < 0 || (header.msg_flags & MSG_TRUNC)) continue;
        const auto address = IpAddress::from_bytes({source.sin6_addr.s6_addr, 16});
        if (!address || source.sin6_port == 0) continue;
        m_received({.payload = {buffer, static_cast<std::size_t>(size)},
                    .source = {*address, ntohs(source.sin6_port)},
                    .ifindex = arrival_of(header)});
    }
}

Result<int> DatagramSocket::socket_of(unsigned ifindex) {
    if (ifindex == 0) return m_socket.get();
    if (const auto found = m_bound.find(ifindex); found != m_bound.end())
        return found->second.get();
    if (m_bound.size() == bound_limit) m_bound.clear();
    return m_bound.emplace(ifindex, TRY(bind_to(m_address, 0, ifindex))).first->second.get();
}

Status DatagramSocket::send(ByteView payload, const Endpoint& to, unsigned ifindex) {
    const sockaddr_in6 address = address_of(to);
    const ssize_t sent =
        ::sendto(TRY(socket_of(ifindex)), payload.data(), payload.size(), MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&address), sizeof address);
    if (sent >= 0) return {};
    const int error = errno;
    if (error == ENODEV || error == ENXIO) forget(ifindex);
    return fail_errno(error, "cannot send to " + to.text());
}

}  // namespace fortros
