#include "os/multicast_socket.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace fortros {

static constexpr int datagrams_per_turn = 16;
static constexpr std::size_t buffer_size = 2048;

static sockaddr_in v4_of(const Endpoint& endpoint) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(endpoint.port);
    std::memcpy(&address.sin_addr, endpoint.address.bytes().data(), sizeof address.sin_addr);
    return address;
}

static sockaddr_in6 v6_of(const Endpoint& endpoint, unsigned scope) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(endpoint.port);
    address.sin6_scope_id = scope;
    std::ranges::copy(endpoint.address.bytes(), address.sin6_addr.s6_addr);
    return address;
}

template <typename Value>
static bool set(const Fd& fd, int level, int option, const Value& value) {
    return ::setsockopt(fd.get(), level, option, &value, sizeof value) == 0;
}

template <typename Address>
static bool bind_to(const Fd& fd, const Address& address) {
    return ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

static Fd udp_socket(int family, unsigned ifindex) {
    Fd fd{::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    const int on = 1;
    const int index = static_cast<int>(ifindex);
    if (!fd.valid() || !set(fd, SOL_SOCKET, SO_REUSEADDR, on) ||
        !set(fd, SOL_SOCKET, SO_BINDTOIFINDEX, index))
        return {};
    return fd;
}

static std::unexpected<Error> failed(const Endpoint& group) {
    return fail_errno(errno, "cannot speak to the group " + group.text());
}

Status MulticastSocket::open_v4() {
    const ip_mreqn membership{.imr_multiaddr = v4_of(m_group).sin_addr,
                              .imr_address = v4_of({m_own, 1}).sin_addr,
                              .imr_ifindex = static_cast<int>(m_ifindex)};
    const int ttl = 1, off = 0;
    m_listening = udp_socket(AF_INET, m_ifindex);
    if (!m_listening.valid() || !bind_to(m_listening, v4_of(m_group)) ||
        !set(m_listening, IPPROTO_IP, IP_ADD_MEMBERSHIP, membership) ||
        !set(m_listening, IPPROTO_IP, IP_MULTICAST_ALL, off))
        return failed(m_group);
    m_sending = udp_socket(AF_INET, m_ifindex);
    sockaddr_in own = v4_of({m_own, 1});
    own.sin_port = 0;
    if (!m_sending.valid() || !bind_to(m_sending, own) ||
        !set(m_sending, IPPROTO_IP, IP_MULTICAST_IF, membership) ||
        !set(m_sending, IPPROTO_IP, IP_MULTICAST_TTL, ttl) ||
        !set(m_sending, IPPROTO_IP, IP_MULTICAST_LOOP, off))
        return failed(m_group);
    return {};
}

Status MulticastSocket::open_v6() {
    const ipv6_mreq membership{.ipv6mr_multiaddr = v6_of(m_group, 0).sin6_addr,
                               .ipv6mr_interface = m_ifindex};
    const int on = 1, off = 0, hops = 1;
    const int index = static_cast<int>(m_ifindex);
    m_listening = udp_socket(AF_INET6, m_ifindex);
    if (!m_listening.valid() || !set(m_listening, IPPROTO_IPV6, IPV6_V6ONLY, on) ||
        !bind_to(m_listening, v6_of(m_group, m_ifindex)) ||
        !set(m_listening, IPPROTO_IPV6, IPV6_JOIN_GROUP, membership))
        return failed(m_group);
    m_sending = udp_socket(AF_INET6, m_ifindex);
    sockaddr_in6 own = v6_of({m_own, 1}, m_ifindex);
    own.sin6_port = 0;
    if (!m_sending.valid() || !set(m_sending, IPPROTO_IPV6, IPV6_V6ONLY, on) ||
        !bind_to(m_sending, own) || !set(m_sending, IPPROTO_IPV6, IPV6_MULTICAST_IF, index) ||
        !set(m_sending, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, hops) ||
        !set(m_sending, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, off))
        return failed(m_group);
    return {};
}

Result<std::unique_ptr<MulticastSocket>> MulticastSocket::open(Loop& loop, const Endpoint& group,
                                                               unsigned ifindex,
                                                               const IpAddress& own,
                                                               std::size_t limit,
                                                               Received received) {
    ASSERT(group.address.family() == own.family() && limit < buffer_size);
    std::unique_ptr<MulticastSocket> socket(
        new MulticastSocket(group, ifindex, own, limit, std::move(received)));
    TRY(group.address.is_v4() ? socket->open_v4() : socket->open_v6());
    socket->m_watch = TRY(loop.watch(socket->m_listening.get(), EPOLLIN,
                                     [raw = socket.get()](std::uint32_t) { raw->read(); }));
    return socket;
}

static std::optional<Endpoint> endpoint_of(const sockaddr_storage& from) {
    std::optional<IpAddress> address;
    std::uint16_t port = 0;
    if (from.ss_family == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(from);
        address = IpAddress::from_bytes(
            {reinterpret_cast<const std::uint8_t*>(&v4.sin_addr), sizeof v4.sin_addr});
        port = ntohs(v4.sin_port);
    } else if (from.ss_family == AF_INET6) {
        const auto& v6 = reinterpret_cast<const sockaddr_in6&>(from);
        address = IpAddress::from_bytes({v6.sin6_addr.s6_addr, 16});
        port = ntohs(v6.sin6_port);
    }
    if (!address || port == 0) return std::nullopt;
    return Endpoint{*address, port};
}

void MulticastSocket::read() {
    for (int i = 0; i < datagrams_per_turn; ++i) {
        std::array<std::uint8_t, buffer_size> buffer;
        sockaddr_storage from{};
        socklen_t from_size = sizeof from;
        const ssize_t size = ::recvfrom(m_listening.get(), buffer.data(), buffer.size(), MSG_TRUNC,
                                        reinterpret_cast<sockaddr*>(&from), &from_size);
        if (size < 0) return;
        const auto source = endpoint_of(from);
        const auto length = static_cast<std::size_t>(size);
        if (source && length <= m_limit) m_received({buffer.data(), length}, *source);
    }
}

Status MulticastSocket::send(ByteView payload) {
    const sockaddr_in v4 = m_group.address.is_v4() ? v4_of(m_group) : sockaddr_in{};
    const sockaddr_in6 v6 = m_group.address.is_v4() ? sockaddr_in6{} : v6_of(m_group, m_ifindex);
    const auto* to = m_group.address.is_v4() ? reinterpret_cast<const sockaddr*>(&v4)
                                             : reinterpret_cast<const sockaddr*>(&v6);
    const socklen_t size = m_group.address.is_v4() ? sizeof v4 : sizeof v6;
    if (::sendto(m_sending.get(), payload.data(), payload.size(), MSG_NOSIGNAL, to, size) < 0)
        return failed(m_group);
    return {};
}

}  // namespace fortros
