#include "gateway/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace fortros::gateway {

static constexpr int backlog = 1024;
static constexpr int accept_attempts = 16;

namespace {

union SocketAddress {
    sockaddr generic;
    sockaddr_in v4;
    sockaddr_in6 v6;
};

}  // namespace

static socklen_t fill(SocketAddress& out, const Endpoint& endpoint) {
    out = {};
    const auto bytes = endpoint.address.bytes();
    if (endpoint.address.is_v4()) {
        out.v4.sin_family = AF_INET;
        out.v4.sin_port = htons(endpoint.port);
        std::memcpy(&out.v4.sin_addr, bytes.data(), bytes.size());
        return sizeof(out.v4);
    }
    out.v6.sin6_family = AF_INET6;
    out.v6.sin6_port = htons(endpoint.port);
    std::memcpy(&out.v6.sin6_addr, bytes.data(), bytes.size());
    return sizeof(out.v6);
}

// An IPv4 client of an IPv6 socket has a mapped address; people know him by the other.
static Endpoint endpoint_of(const SocketAddress& address) {
    ByteArray<4> v4;
    ByteArray<16> v6;
    if (address.generic.sa_family == AF_INET) {
        std::memcpy(v4.data(), &address.v4.sin_addr, v4.size());
        return {IpAddress::v4(v4), ntohs(address.v4.sin_port)};
    }
    std::memcpy(v6.data(), &address.v6.sin6_addr, v6.size());
    if (IN6_IS_ADDR_V4MAPPED(&address.v6.sin6_addr)) {
        std::copy_n(v6.begin() + 12, v4.size(), v4.begin());
        return {IpAddress::v4(v4), ntohs(address.v6.sin6_port)};
    }
    return {IpAddress::v6(v6), ntohs(address.v6.sin6_port)};
}

Result<Fd> listen_on(const Endpoint& endpoint) {
    const std::string what = "cannot listen on " + endpoint.text();
    SocketAddress address;
    const auto size = fill(address, endpoint);
    Fd socket(::socket(address.generic.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket.valid()) return fail_errno(errno, what);
    const int on = 1, off = 0;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (!endpoint.address.is_v4())
        ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY,
                     endpoint.address.is_unspecified() ? &off : &on, sizeof(on));
    if (::bind(socket.get(), &address.generic, size) < 0) {
        if (errno == EADDRINUSE)
            return fail(ErrorCode::Conflict, what + ": somebody else listens there");
        return fail_errno(errno, what);
    }
    if (::listen(socket.get(), backlog) < 0) return fail_errno(errno, what);
    return socket;
}

Result<Accepted> accept_from(int listener) {
    SocketAddress address{};
    socklen_t size = sizeof(address);
    for (int attempt = 0; attempt < accept_attempts; ++attempt) {
        Fd socket(::accept4(listener, &address.generic, &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (socket.valid()) {
            const int on = 1;
            ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
            return Accepted{std::move(socket), endpoint_of(address)};
        }
        switch (errno) {
            case EAGAIN: return Accepted{};
            case EMFILE:
            case ENFILE:
            case ENOBUFS:
            case ENOMEM: {
                Error error = fail_errno(errno, "cannot accept a connection").error();
                error.code = ErrorCode::Exhausted;
                return std::unexpected(std::move(error));
            }
            case EBADF:
            case EINVAL:
            case ENOTSOCK: return fail_errno(errno, "cannot accept a connection");
            // Everything else is that client's misfortune (accept(2)); the next one may be fine.
            default: break;
        }
    }
    return Accepted{};
}

}  // namespace fortros::gateway
