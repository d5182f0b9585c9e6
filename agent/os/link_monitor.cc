#include "os/link_monitor.h"

#include <linux/rtnetlink.h>
#include <netinet/icmp6.h>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace fortros {

// Then others have their turn; what is left makes epoll call again.
static constexpr int datagrams_per_turn = 64;

static constexpr std::uint32_t group(rtnetlink_groups number) { return 1U << (number - 1); }
static constexpr std::uint32_t groups = group(RTNLGRP_LINK) | group(RTNLGRP_IPV4_IFADDR) |
                                        group(RTNLGRP_IPV6_IFADDR) | group(RTNLGRP_IPV4_ROUTE) |
                                        group(RTNLGRP_IPV6_ROUTE) | group(RTNLGRP_IPV6_IFINFO) |
                                        group(RTNLGRP_ND_USEROPT);

Result<std::unique_ptr<LinkMonitor>> LinkMonitor::start(Loop& loop, LinkMonitorEvents events) {
    auto netlink = TRY(Netlink::monitor(NETLINK_ROUTE, groups));
    std::unique_ptr<LinkMonitor> monitor(new LinkMonitor(std::move(netlink), std::move(events)));
    monitor->m_watch = TRY(loop.watch(monitor->m_netlink.fd(), EPOLLIN,
                                      [raw = monitor.get()](std::uint32_t) { raw->read(); }));
    return monitor;
}

// The options of a router advertisement; none of anything else.
static ByteView options_of(const nduseroptmsg& header, const nlmsghdr& message) {
    if (header.nduseropt_family != AF_INET6 || header.nduseropt_icmp_type != ND_ROUTER_ADVERT)
        return {};
    const std::size_t room = message.nlmsg_len - NLMSG_HDRLEN - sizeof(header);
    if (header.nduseropt_opts_len > room) return {};
    return {reinterpret_cast<const std::uint8_t*>(&header) + sizeof(header),
            header.nduseropt_opts_len};
}

void LinkMonitor::read() {
    bool changed = false;
    for (int i = 0; i < datagrams_per_turn; ++i) {
        auto more = m_netlink.receive_events([&](const nlmsghdr& message) -> Status {
            if (message.nlmsg_type != RTM_NEWNDUSEROPT) {
                changed = true;
            } else if (const auto* header = family_header<nduseroptmsg>(message)) {
                const ByteView options = options_of(*header, message);
                if (!options.empty())
                    m_events.advertised(static_cast<unsigned>(header->nduseropt_ifindex), options);
            }
            return {};
        });
        if (!more) {
            m_events.missed();
            changed = true;
        } else if (!*more) {
            break;
        }
    }
    if (changed) m_events.changed();
}

}  // namespace fortros
