#include "gateway/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "base/text.h"

namespace fortros::gateway {

// Linux grants as many unless told otherwise (net.core.somaxconn): who finds no room here comes again
// a second later.
static constexpr int backlog = 4096;
static constexpr int accept_attempts = 16;

namespace {

union SocketAddress {
    sockaddr generic;
    sockaddr_in v4;
    sockaddr_in6 v6;
    sockaddr_un path;
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
    if (address.generic.sa_family != AF_INET6) return {};
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

// --- paths ---

// Who ends without removing its socket leaves it behind; nobody accepts from it any more.
static Status remove_left_behind(const SocketAddress& address, socklen_t size) {
    struct stat found{};
    if (::lstat(address.path.sun_path, &found) < 0 || !S_ISSOCK(found.st_mode)) return {};
    const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!probe.valid()) return fail_errno(errno, "cannot make a socket");
    if (::connect(probe.get(), &address.generic, size) == 0 || errno != ECONNREFUSED) return {};
    if (::unlink(address.path.sun_path) < 0) return fail_errno(errno, "cannot remove it");
    return {};
}

Result<Fd> listen_at(const std::string& path) {
    const std::string what = "cannot listen at '" + path + "'";
    SocketAddress address{};
    if (path.size() >= sizeof(address.path.sun_path))
        return fail(ErrorCode::InvalidArgument, what + ": the path is too long for a socket");
    address.path.sun_family = AF_UNIX;
    std::memcpy(address.path.sun_path, path.c_str(), path.size() + 1);
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket.valid()) return fail_errno(errno, what);
    if (auto status = remove_left_behind(address, size); !status)
        return std::unexpected(std::move(status.error()).in(what));
    if (::bind(socket.get(), &address.generic, size) < 0) {
        if (errno == EADDRINUSE)
            return fail(ErrorCode::Conflict, what + ": there is something already");
        return fail_errno(errno, what);
    }
    // Nobody can connect before listen(2).
    if (::chmod(path.c_str(), 0600) < 0 || ::listen(socket.get(), backlog) < 0)
        return fail_errno(errno, what);
    return socket;
}

// --- sockets of others ---

static int option_of(int socket, int option) {
    int value = 0;
    socklen_t size = sizeof(value);
    return ::getsockopt(socket, SOL_SOCKET, option, &value, &size) < 0 ? -1 : value;
}

Result<Fd> adopt_listener(Fd socket, ListenerKind kind) {
    if (option_of(socket.get(), SO_TYPE) != SOCK_STREAM ||
        option_of(socket.get(), SO_ACCEPTCONN) != 1)
        return fail(ErrorCode::InvalidArgument, "it is no stream socket that listens");
    const int domain = option_of(socket.get(), SO_DOMAIN);
    if (domain != AF_INET && domain != AF_INET6 &&
        !(domain == AF_UNIX && kind == ListenerKind::Any))
        return fail(ErrorCode::InvalidArgument, "it is of the wrong address family");
    const int flags = ::fcntl(socket.get(), F_GETFL);
    if (flags < 0 || ::fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) < 0)
        return fail_errno(errno, "cannot make it non-blocking");
    return socket;
}

std::string place_of(int listener) {
    SocketAddress address{};
    socklen_t size = sizeof(address);
    if (::getsockname(listener, &address.generic, &size) < 0) return "?";
    if (address.generic.sa_family != AF_UNIX) return endpoint_of(address).text();
    const auto length = size - std::min<std::size_t>(size, offsetof(sockaddr_un, sun_path));
    return printable(
        std::string_view(address.path.sun_path, ::strnlen(address.path.sun_path, length)));
}

// --- accepting ---

Result<Accepted> accept_from(int listener) {
    for (int attempt = 0; attempt < accept_attempts; ++attempt) {
        SocketAddress address{};
        socklen_t size = sizeof(address);
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
