// Asks the IPv6 routers of one link to advertise themselves (RFC 4861 section 6.3.7). The kernel
// asks by itself when a link comes up; this is for a link that was up before anybody listened. It
// does not read the answer: os/link_monitor.h hears it from the kernel.
#pragma once

#include "base/result.h"
#include "os/fd.h"
#include "os/loop.h"

namespace fortros {

class RouterSolicitor {
public:
    // `loop` must outlive the solicitor.
    RouterSolicitor(Loop& loop, unsigned ifindex) : m_loop(loop), m_ifindex(ifindex) {}
    RouterSolicitor(const RouterSolicitor&) = delete;
    RouterSolicitor& operator=(const RouterSolicitor&) = delete;
    ~RouterSolicitor() = default;

    // Asks now and twice more, until stop(). Unsupported when the kernel has no IPv6.
    Status start();
    void stop();

private:
    Status ask();

    Loop& m_loop;
    unsigned m_ifindex;
    Fd m_socket;
    int m_asked = 0;
    Loop::Timer m_timer;
};

}  // namespace fortros
