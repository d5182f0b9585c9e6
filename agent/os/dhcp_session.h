// DHCP on one link: runs the client (core/dhcp_client.h) on a socket and on the loop's clock. It
// configures nothing; its owner is told of leases.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/random.h"
#include "base/result.h"
#include "core/dhcp_client.h"
#include "os/dhcp_socket.h"
#include "os/loop.h"

namespace fortros {

struct DhcpSessionEvents {
    std::function<void(const DhcpLease& lease)> bound;
    std::function<void(const DhcpLease& lease, const Error& why)> lost;
    // After each step, the above included: problem() may be another now.
    std::function<void()> progressed;
};

class DhcpSession {
public:
    // `loop` and `random` must outlive the session. The events may not destroy it.
    DhcpSession(Loop& loop, Random& random, unsigned ifindex, std::string hostname,
                DhcpSessionEvents events)
        : m_loop(loop),
          m_ifindex(ifindex),
          m_client(MacAddress{}, std::move(hostname), random),
          m_events(std::move(events)) {}
    DhcpSession(const DhcpSession&) = delete;
    DhcpSession& operator=(const DhcpSession&) = delete;
    ~DhcpSession() = default;

    // The carrier came: asks for a lease, for the same again if there was one. `mac`: the link's, now.
    void start(MacAddress mac);
    // The carrier went: says and hears nothing until started again.
    void stop();

    // Null while stopped or without one.
    const DhcpLease* lease() const {
        return m_socket && m_client.lease() ? &*m_client.lease() : nullptr;
    }
    // Why there is no lease, in words; empty while there is one.
    std::string problem() const { return m_trouble.empty() ? m_client.problem() : m_trouble; }

private:
    void open();
    void perform(const std::vector<DhcpClient::Action>& actions);
    void send(const DhcpClient::Send& send);

    Loop& m_loop;
    unsigned m_ifindex;
    DhcpClient m_client;
    DhcpSessionEvents m_events;
    std::unique_ptr<DhcpSocket> m_socket;
    Loop::Timer m_timer;
    std::string m_trouble;  // with the socket itself
};

}  // namespace fortros
