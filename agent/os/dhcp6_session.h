// DHCPv6 on one link: runs the client (core/dhcp6_client.h) on a socket and on the loop's clock. It
// configures nothing; its owner is told of leases.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/random.h"
#include "base/result.h"
#include "core/dhcp6_client.h"
#include "os/dhcp6_socket.h"
#include "os/loop.h"

namespace fortros {

struct Dhcp6SessionEvents {
    std::function<void(const Dhcp6Lease& lease)> bound;
    std::function<void(const Error& why)> lost;
    // After each step, the above included: problem() may be another now.
    std::function<void()> progressed;
};

class Dhcp6Session {
public:
    // `loop` and `random` must outlive the session. The events may not destroy it. `vlan`: the tag of
    // a link that is one, or 0.
    Dhcp6Session(Loop& loop, Random& random, unsigned ifindex, std::uint16_t vlan,
                 Dhcp6SessionEvents events)
        : m_loop(loop),
          m_ifindex(ifindex),
          m_client(MacAddress{}, random, vlan),
          m_events(std::move(events)) {}
    Dhcp6Session(const Dhcp6Session&) = delete;
    Dhcp6Session& operator=(const Dhcp6Session&) = delete;
    ~Dhcp6Session() = default;

    // Begins, or begins anew with another wish. `mac`: the link's, now. `own`: its settled link-local
    // address.
    void start(Dhcp6Wish wish, MacAddress mac, const IpAddress& own);
    // The leased address is another host's already.
    void decline() { perform(m_client.decline(monotonic_now())); }
    // The leased address has passed the check for duplicates.
    void settled() { m_client.settled(); }
    // The carrier went: says and hears nothing until started again.
    void stop();

    // Null while stopped or without one.
    const Dhcp6Lease* lease() const {
        return m_socket && m_client.lease() ? &*m_client.lease() : nullptr;
    }
    // Why nothing is known yet, in words; empty while something is, or nobody asked.
    std::string problem() const;

private:
    void perform(const Dhcp6Client::Step& step);

    Loop& m_loop;
    unsigned m_ifindex;
    Dhcp6Client m_client;
    Dhcp6SessionEvents m_events;
    std::unique_ptr<Dhcp6Socket> m_socket;
    Loop::Timer m_timer;
    std::string m_trouble;  // with the socket itself
};

}  // namespace fortros
