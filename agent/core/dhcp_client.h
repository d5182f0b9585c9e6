// The DHCPv4 client (RFC 2131 section 4.4, rapid commit by RFC 4039) as a pure machine in virtual
// time. It sees UDP payloads only, has one lease at a time and touches neither socket nor interface.
//
//          ┌──────────── ack with rapid commit ───────────┐
//          │                                              ▼
//   Selecting ── offer ──▶ Requesting ── ack ──▶ Bound ── T1 ──▶ Renewing ── T2 ──▶ Rebinding
//       ▲                     │ nak, silence       ▲────── ack ─────┘─────── ack ──────┘
//       └──────────────◀──────┴──────────────────────────── nak, lease over ◀──────────┘
//
// A boot waits for this, so it asks sooner and more often than the RFC's 4 s: after 1, 2, 4, 8, 8 ...
// seconds, each a quarter more or less, and it takes the first offer that can be lived with.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "core/address.h"
#include "core/dhcp_lease.h"
#include "core/dhcp_message.h"
#include "core/mac_address.h"

namespace fortros {

class DhcpClient {
public:
    struct Send {
        Bytes payload;
        IpAddress source{};                     // 0.0.0.0 before there is a lease
        std::optional<IpAddress> unicast_to{};  // absent: broadcast
    };
    struct Bound {  // a new lease, or the same for longer, or another in its place
        DhcpLease lease;
    };
    struct Lost {  // the lease ended or was taken back: remove the address
        DhcpLease lease;
        Error why;
    };
    using Action = std::variant<Send, Bound, Lost>;

    // The client identifier is 01 || MAC, as systemd-networkd sends with ClientIdentifier=mac, so
    // that the real root's client gets the same address. An empty host name is not sent.
    DhcpClient(MacAddress mac, std::string hostname, Random& random);

    // The link's MAC is another now; counts from the next start() on.
    void set_mac(MacAddress mac) { m_mac = mac; }
    // Also begins anew, after the carrier went and came: forgets the lease without a word and asks
    // for the same address again.
    std::vector<Action> start(Instant now);
    // A payload from anybody; what does not concern this client is ignored.
    std::vector<Action> received(ByteView payload, Instant now);
    // To be called at the deadline; does nothing before.
    std::vector<Action> tick(Instant now);
    Instant deadline() const { return m_deadline; }

    const std::optional<DhcpLease>& lease() const { return m_lease; }
    // Why there is no lease yet, in words ("no DHCP answer, asked 5 times"); empty while there is
    // one. Changes only within the calls above.
    std::string problem() const;

private:
    enum class State { Init, Selecting, Requesting, Bound, Renewing, Rebinding };
    using Actions = std::vector<Action>;

    void enter(State state);
    Actions discover(Instant now);
    Actions bind(DhcpLease lease);
    Actions lose(ErrorCode code, std::string why, Instant now);
    Actions offered(const DhcpMessage& message, Instant now);
    Actions choose(DhcpLease offer, Instant now);
    Actions acknowledged(const DhcpMessage& message);
    Actions refused(const DhcpMessage& message, Instant now);
    Send transmit(Instant now);
    DhcpMessage compose() const;
    Duration jittered(Duration delay);
    Duration a_little_early(Duration delay);

    MacAddress m_mac;
    std::string m_hostname;
    Random& m_random;

    State m_state = State::Init;
    Instant m_deadline = Instant::max();
    Instant m_started{};  // when the wait for a lease began
    Instant m_sent_at{};  // the latest message: a lease runs from there
    std::uint32_t m_transaction = 0;
    std::uint16_t m_seconds = 0;
    unsigned m_tries = 0;     // messages sent in this state
    unsigned m_refusals = 0;  // NAKs since the start
    bool m_broadcast = false;
    std::optional<IpAddress> m_wanted{};  // the address of an earlier lease
    std::optional<DhcpLease> m_offer{};
    // A server that has offered and then not confirmed, and what it offers again: to be taken when no
    // other has made an offer before the next DISCOVER would be sent.
    std::optional<IpAddress> m_unconfirming{};
    std::optional<DhcpLease> m_second_choice{};
    std::optional<DhcpLease> m_lease{};
    Instant m_renew_at{};
    Instant m_rebind_at{};
    Instant m_ends_at{};
    std::string m_complaint{};
};

}  // namespace fortros
