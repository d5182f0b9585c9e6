#include "os/tcp.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace fortros {

// Writes the address into `storage`; returns how much of it is used.
static socklen_t socket_address(const Endpoint& endpoint, unsigned ifindex,
                                sockaddr_storage& storage) {
    const ByteView bytes = endpoint.address.bytes();
    if (endpoint.address.is_v4()) {
        sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(endpoint.port)};
        std::memcpy(&address.sin_addr, bytes.data(), bytes.size());
        std::memcpy(&storage, &address, sizeof address);
        return sizeof address;
    }
    sockaddr_in6 address{.sin6_family = AF_INET6, .sin6_port = htons(endpoint.port)};
    std::memcpy(&address.sin6_addr, bytes.data(), bytes.size());
    if (endpoint.address.is_link_local()) address.sin6_scope_id = ifindex;
    std::memcpy(&storage, &address, sizeof address);
    return sizeof address;
}

Result<Fd> start_connecting(const Endpoint& endpoint, unsigned ifindex) {
    const int family = endpoint.address.is_v4() ? AF_INET : AF_INET6;
    Fd socket{::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (!socket.valid()) return fail_errno(errno, "cannot open a TCP socket");
    const int on = 1;
    if (::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        return fail_errno(errno, "cannot set up a TCP socket");
    const int link = static_cast<int>(ifindex);
    if (link != 0 &&
        ::setsockopt(socket.get(), SOL_SOCKET, SO_BINDTOIFINDEX, &link, sizeof link) < 0)
        return fail_errno(errno, "cannot bind a TCP socket to its link");

    sockaddr_storage address{};
    const socklen_t size = socket_address(endpoint, ifindex, address);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) < 0 &&
        errno != EINPROGRESS && errno != EINTR)
        return fail_errno(errno, "cannot connect");
    return socket;
}

Status finish_connecting(const Fd& socket) {
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) < 0) error = errno;
    if (error != 0) return fail_errno(error, "cannot connect");
    return {};
}

}  // namespace fortros
