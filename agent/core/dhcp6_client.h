// The DHCPv6 client (RFC 8415 section 18.2) as a pure machine in virtual time: one address, or only
// what the network tells. It sees UDP payloads only and touches neither socket nor interface.
//
//   Information:  Informing ── reply ──▶ Informed ── refresh time ──▶ Informing
//
//   Address:   ┌────────── reply with rapid commit ──────────┐
//              │                                             ▼
//   Soliciting ── advertise ──▶ Requesting ── reply ──▶ Bound ── T1 ──▶ Renewing ── T2 ──▶ Rebinding
//       ▲                           │ refused, silence    ▲────── reply ───┘──── reply ──────┘
//       └──────────────◀────────────┴────────── declined, refused, lease over ◀───────────────┘
//
// A boot waits for this: it takes the first advertisement that can be lived with and never waits for
// a better one, begins within a tenth of a second, and asks again after 1, 2, 4, 8, 8 ... seconds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "core/dhcp6_lease.h"
#include "core/dhcp6_message.h"
#include "core/mac_address.h"

namespace fortros {

// What routers tell hosts to ask for; the greater includes the smaller.
enum class Dhcp6Wish : std::uint8_t { Nothing, Information, Address };

class Dhcp6Client {
public:
    // What is to be done now, in this order. Nothing of it: nothing.
    struct Step {
        std::optional<Error> lost{};  // the lease ended or was taken back: remove its address
        bool bound = false;           // lease() is there, or lasts longer, or is another
        Bytes send{};                 // a payload, to all servers of the link
        bool empty() const { return !lost && !bound && send.empty(); }
    };

    // The DUID is DUID-LL of the MAC and the IAID its last four bytes, as networkd's
    // DUIDType=link-layer and NetworkManager's ipv6.dhcp-iaid=mac have them: they need no memory,
    // and the real root's client can have the same. VLANs have their parent's MAC: their tags tell
    // their associations apart (0: no VLAN).
    Dhcp6Client(MacAddress mac, Random& random, std::uint16_t vlan = 0);

    // The link's MAC is another now; counts from the next start() on.
    void set_mac(MacAddress mac);
    // Also begins anew, after the carrier went and came: forgets the lease without a word and asks
    // for the same address again. The wish is not Nothing.
    void start(Dhcp6Wish wish, Instant now);
    // A payload from anybody; what does not concern this client is ignored.
    Step received(ByteView payload, Instant now);
    // To be called at the deadline; does nothing before.
    Step tick(Instant now);
    // The address that was given is another host's already (RFC 8415 section 18.2.8): gives it back,
    // and asks for another. Nothing without a leased address.
    Step decline(Instant now);
    // The address that was given has passed the kernel's check for duplicates.
    void settled() { m_refusals = 0; }
    Instant deadline() const { return m_deadline; }

    const std::optional<Dhcp6Lease>& lease() const { return m_lease; }
    // Why what was wished for is not there yet, in words; empty while it is. Changes only within
    // the calls above.
    std::string problem() const;

private:
    enum class State { Informing, Informed, Soliciting, Requesting, Bound, Renewing, Rebinding };

    void enter(State state, Instant now);
    void take_limits(const Dhcp6Message& message);
    Step transmit(Instant now);
    Dhcp6Message compose(Dhcp6Message::Type type, Instant now) const;
    Bytes association() const;
    Step informed(const Dhcp6Message& message, Instant now);
    Step advertised(const Dhcp6Message& message, Instant now);
    Step replied(const Dhcp6Message& message, Instant now);
    Step refused(const Error& error, Instant now);
    void begin_anew(Instant now);
    Step bind(Dhcp6Lease lease, Instant now);
    Step lose(ErrorCode code, std::string why, Instant now);
    Duration jittered(Duration delay);
    Dhcp6Lease signed_by_us(Dhcp6Lease lease) const;

    std::uint16_t m_vlan;
    Bytes m_duid;
    std::uint32_t m_iaid = 0;
    Random& m_random;

    State m_state = State::Soliciting;
    Instant m_deadline = Instant::max();
    Instant m_entered{};  // when this state's exchange began
    Instant m_sent_at{};  // the latest message: a lease runs from there
    std::uint32_t m_transaction = 0;
    unsigned m_tries = 0;          // messages sent in this state
    Duration m_longest_solicit{};  // between two, as servers have it
    Duration m_longest_inform{};
    unsigned m_refusals = 0;              // since an address settled
    std::optional<IpAddress> m_wanted{};  // the address of an earlier lease
    std::optional<Dhcp6Lease> m_offer{};
    std::optional<Dhcp6Lease> m_lease{};
    Instant m_renew_at{};
    Instant m_rebind_at{};
    Instant m_ends_at{};
    std::string m_complaint{};
};

}  // namespace fortros
