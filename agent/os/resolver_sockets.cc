#include "os/resolver_sockets.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace fortros {

using Prefix = ByteArray<8>;
static constexpr Prefix link_local_prefix = {0xfe, 0x80};
static constexpr Prefix stand_in_prefix = {0x01, 0x00};

static bool has_prefix(const std::uint8_t* address, const Prefix& prefix) {
    return std::equal(prefix.begin(), prefix.end(), address);
}

IpAddress stand_in_for(const IpAddress& link_local) {
    auto bytes = ByteReader(link_local.bytes()).array<16>();
    std::ranges::copy(stand_in_prefix, bytes.begin());
    return IpAddress::v6(bytes);
}

bool is_stand_in(const IpAddress& address) {
    return !address.is_v4() && has_prefix(address.bytes().data(), stand_in_prefix);
}

// Where packets for c-ares' address really go; a copy, unless it is the same.
static const sockaddr* real_address(const sockaddr* address, sockaddr_in6& copy, void* ifindex) {
    if (!address || address->sa_family != AF_INET6) return address;
    std::memcpy(&copy, address, sizeof copy);
    if (!has_prefix(copy.sin6_addr.s6_addr, stand_in_prefix)) return address;
    std::ranges::copy(link_local_prefix, copy.sin6_addr.s6_addr);
    copy.sin6_scope_id = *static_cast<const unsigned*>(ifindex);
    return reinterpret_cast<const sockaddr*>(&copy);
}

static int open_socket(int domain, int type, int protocol, void*) {
    return ::socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}

static int close_socket(int fd, void*) { return ::close(fd); }

// Buffer sizes, a device, TCP Fast Open: nothing that we ask c-ares for, and it goes on without.
static int set_option(int, ares_socket_opt_t, const void*, ares_socklen_t, void*) {
    errno = ENOSYS;
    return -1;
}

static bool is_loopback(const sockaddr* address) {
    if (address->sa_family == AF_INET)
        return ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr);
}

// A link's resolver is asked through that link, whatever link the routes prefer.
static int connect_socket(int fd, const sockaddr* address, ares_socklen_t size, unsigned int,
                          void* ifindex) {
    sockaddr_in6 copy;
    const int link = static_cast<int>(*static_cast<const unsigned*>(ifindex));
    if (link != 0 && !is_loopback(address) &&
        ::setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &link, sizeof link) < 0)
        return -1;
    return ::connect(fd, real_address(address, copy, ifindex), size);
}

static ares_ssize_t receive(int fd, void* buffer, std::size_t size, int flags, sockaddr* from,
                            ares_socklen_t* from_size, void*) {
    const ssize_t count = ::recvfrom(fd, buffer, size, flags, from, from_size);
    // c-ares believes only an answer from the address that it has asked.
    if (count >= 0 && from && from_size && *from_size >= sizeof(sockaddr_in6) &&
        from->sa_family == AF_INET6) {
        auto* address = reinterpret_cast<sockaddr_in6*>(from)->sin6_addr.s6_addr;
        if (has_prefix(address, link_local_prefix)) std::ranges::copy(stand_in_prefix, address);
    }
    return count;
}

static ares_ssize_t send(int fd, const void* buffer, std::size_t size, int flags,
                         const sockaddr* to, ares_socklen_t to_size, void* ifindex) {
    sockaddr_in6 copy;
    return ::sendto(fd, buffer, size, flags | MSG_NOSIGNAL, real_address(to, copy, ifindex),
                    to_size);
}

static int local_address(int fd, sockaddr* address, ares_socklen_t* size, void*) {
    return ::getsockname(fd, address, size);
}

static int bind_socket(int fd, unsigned int, const sockaddr* address, socklen_t size, void*) {
    return ::bind(fd, address, size);
}

const ares_socket_functions_ex resolver_sockets = {
    .version = 1,
    .flags = ARES_SOCKFUNC_FLAG_NONBLOCKING,
    .asocket = open_socket,
    .aclose = close_socket,
    .asetsockopt = set_option,
    .aconnect = connect_socket,
    .arecvfrom = receive,
    .asendto = send,
    .agetsockname = local_address,
    .abind = bind_socket,
};

}  // namespace fortros
