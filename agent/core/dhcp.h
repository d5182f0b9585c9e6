// DHCPv4 (RFC 2131, 2132, 3442, 4361): the message codec and the client as a pure machine. It sees
// UDP payloads only; os/dhcp_socket.h puts them on the wire.
//
//   Selecting ── offer ──▶ Requesting ── ack ──▶ Bound ── T1 ──▶ Renewing ── T2 ──▶ Rebinding
//       ▲                     │ nak, timeout        ▲────── ack ──────┘                 │
//       └─────────────────────┴─────────────────────────── nak, lease over ◀────────────┘
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

namespace fortros {

using MacAddress = ByteArray<6>;

struct DhcpRoute {
    IpNetwork destination;
    IpAddress gateway;  // 0.0.0.0: on the link itself (RFC 3442)
    bool operator==(const DhcpRoute&) const = default;
};

struct DhcpLease {
    IpNetwork address;
    std::vector<DhcpRoute> routes{};  // option 121 if present, else option 3
    std::vector<IpAddress> resolvers{};
    std::vector<IpAddress> ntp_servers{};
    std::optional<std::uint16_t> mtu{};
    IpAddress server{};  // option 54
    std::chrono::seconds lifetime{};
    std::chrono::seconds renew_after{};
    std::chrono::seconds rebind_after{};
    Bytes client_id{};  // as sent
    bool operator==(const DhcpLease&) const = default;
};

struct DhcpMessage {
    enum class Type : std::uint8_t {
        Discover = 1, Offer, Request, Decline, Ack, Nak, Release, Inform,
    };
    Type type = Type::Discover;
    bool is_reply = false;
    std::uint32_t transaction = 0;
    std::uint16_t seconds = 0;
    MacAddress hardware_address{};
    IpAddress client{};  // ciaddr
    IpAddress yours{};   // yiaddr
    std::vector<std::pair<std::uint8_t, Bytes>> options{};  // without 53; concatenated (RFC 3396)

    const Bytes* option(std::uint8_t code) const;
};

Bytes encode(const DhcpMessage& message);
// InvalidData for anything that is not a whole, bounded DHCP message.
Result<DhcpMessage> decode_dhcp(ByteView payload);
// What an OFFER or ACK gives.
Result<DhcpLease> lease_of(const DhcpMessage& message);

class DhcpClient {
public:
    struct Send {
        Bytes payload;
        std::optional<IpAddress> unicast_to;  // absent: broadcast
    };
    struct Bound {  // a new lease or a renewed one
        DhcpLease lease;
    };
    struct Lost {  // the lease ended or was taken back: remove the address
        Error why;
    };
    using Action = std::variant<Send, Bound, Lost>;

    // The client identifier is 01 || MAC, as systemd-networkd sends with ClientIdentifier=mac, so
    // that the real root's client gets the same address.
    DhcpClient(MacAddress mac, std::string hostname, Random& random);

    std::vector<Action> start(Instant now);
    std::vector<Action> received(ByteView payload, Instant now);
    std::vector<Action> tick(Instant now);
    Instant deadline() const { return m_deadline; }

private:
    enum class State { Init, Selecting, Requesting, Bound, Renewing, Rebinding };

    std::vector<Action> discover(Instant now);
    Action request(Instant now);

    MacAddress m_mac;
    std::string m_hostname;
    Random& m_random;
    State m_state = State::Init;
    std::uint32_t m_transaction = 0;
    unsigned m_tries = 0;
    std::optional<DhcpLease> m_lease;
    Instant m_started{};
    Instant m_bound_at{};
    Instant m_deadline = Instant::max();
};

}  // namespace fortros
