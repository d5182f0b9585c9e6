// Hears when something about the host's links changes (rtnetlink events), and what IPv6 routers
// advertise on them. It says that, not what: whoever is told looks for himself, so an event that
// got lost costs nothing.
#pragma once

#include <functional>
#include <memory>

#include "base/bytes.h"
#include "base/result.h"
#include "os/loop.h"
#include "os/netlink.h"

namespace fortros {

struct LinkMonitorEvents {
    // A link, an address or a route came, changed or went. Once for many.
    std::function<void()> changed;
    // The Neighbor Discovery options that the kernel leaves to programs (RTM_NEWNDUSEROPT), borrowed.
    std::function<void(unsigned ifindex, ByteView options)> advertised;
    // The kernel dropped events for want of room: advertisements may be missing. changed() follows.
    std::function<void()> missed;
};

class LinkMonitor {
public:
    // From now on nothing is missed, so observe after this. `loop` must outlive the monitor.
    static Result<std::unique_ptr<LinkMonitor>> start(Loop& loop, LinkMonitorEvents events);
    LinkMonitor(const LinkMonitor&) = delete;
    LinkMonitor& operator=(const LinkMonitor&) = delete;
    ~LinkMonitor() = default;

private:
    LinkMonitor(Netlink netlink, LinkMonitorEvents events)
        : m_netlink(std::move(netlink)), m_events(std::move(events)) {}

    void read();

    Netlink m_netlink;
    LinkMonitorEvents m_events;
    Loop::Watch m_watch;  // goes before the socket
};

}  // namespace fortros
