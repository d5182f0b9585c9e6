#include "os/router_solicitor.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <tuple>

namespace fortros {

static constexpr int solicitations = 3;                // MAX_RTR_SOLICITATIONS
static constexpr Duration solicitation_interval = 4s;  // RTR_SOLICITATION_INTERVAL
static constexpr int hop_limit = 255;                  // routers drop anything else

Status RouterSolicitor::start() {
    stop();
    m_socket = Fd{::socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMPV6)};
    if (!m_socket.valid()) return fail_errno(errno, "cannot open a socket for ICMPv6");
    icmp6_filter nothing;
    ICMP6_FILTER_SETBLOCKALL(&nothing);
    if (::setsockopt(m_socket.get(), IPPROTO_ICMPV6, ICMP6_FILTER, &nothing, sizeof(nothing)) < 0 ||
        ::setsockopt(m_socket.get(), IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hop_limit,
                     sizeof(hop_limit)) < 0)
        return fail_errno(errno, "cannot prepare a socket for ICMPv6");
    return ask();
}

void RouterSolicitor::stop() {
    m_timer = {};
    m_socket.reset();
    m_asked = 0;
}

Status RouterSolicitor::ask() {
    // Without our link-layer address, which is optional: the router finds it like any other. The
    // kernel fills the checksum in.
    const nd_router_solicit solicitation{
        .nd_rs_hdr = {.icmp6_type = ND_ROUTER_SOLICIT, .icmp6_code = 0, .icmp6_cksum = 0}};
    sockaddr_in6 all_routers{.sin6_family = AF_INET6, .sin6_scope_id = m_ifindex};
    all_routers.sin6_addr.s6_addr[0] = 0xff;
    all_routers.sin6_addr.s6_addr[1] = 0x02;
    all_routers.sin6_addr.s6_addr[15] = 0x02;
    const ssize_t sent =
        ::sendto(m_socket.get(), &solicitation, sizeof(solicitation), 0,
                 reinterpret_cast<const sockaddr*>(&all_routers), sizeof(all_routers));
    const int error = sent < 0 ? errno : 0;
    if (++m_asked < solicitations)
        m_timer = m_loop.after(solicitation_interval, [this] { std::ignore = ask(); });
    if (error != 0) return fail_errno(error, "cannot solicit routers");
    return {};
}

}  // namespace fortros
