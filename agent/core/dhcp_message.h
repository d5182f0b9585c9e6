// DHCPv4 messages (RFC 2131, 2132; long and overloaded options by RFC 3396): value to bytes and
// back. It knows the frame, not the meaning of options, and never reads or keeps more than one
// datagram's worth.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "core/address.h"
#include "core/mac_address.h"

namespace fortros {

inline constexpr std::uint16_t dhcp_server_port = 67;
inline constexpr std::uint16_t dhcp_client_port = 68;

// Bytes of UDP payload: what fits unfragmented into Ethernet's 1500. Announced by option 57.
inline constexpr std::size_t dhcp_message_limit = 1472;

// The option numbers in use here (RFC 2132 unless said).
namespace dhcp_option {
inline constexpr std::uint8_t pad = 0;
inline constexpr std::uint8_t subnet_mask = 1;
inline constexpr std::uint8_t routers = 3;
inline constexpr std::uint8_t resolvers = 6;
inline constexpr std::uint8_t host_name = 12;
inline constexpr std::uint8_t interface_mtu = 26;
inline constexpr std::uint8_t broadcast_address = 28;
inline constexpr std::uint8_t ntp_servers = 42;
inline constexpr std::uint8_t requested_address = 50;
inline constexpr std::uint8_t lease_time = 51;
inline constexpr std::uint8_t overload = 52;
inline constexpr std::uint8_t message_type = 53;
inline constexpr std::uint8_t server_id = 54;
inline constexpr std::uint8_t parameter_list = 55;
inline constexpr std::uint8_t message = 56;
inline constexpr std::uint8_t max_message_size = 57;
inline constexpr std::uint8_t renewal_time = 58;
inline constexpr std::uint8_t rebinding_time = 59;
inline constexpr std::uint8_t client_id = 61;
inline constexpr std::uint8_t rapid_commit = 80;       // RFC 4039
inline constexpr std::uint8_t classless_routes = 121;  // RFC 3442
inline constexpr std::uint8_t end = 255;
}  // namespace dhcp_option

struct DhcpMessage {
    enum class Type : std::uint8_t {
        Discover = 1,
        Offer,
        Request,
        Decline,
        Ack,
        Nak,
        Release,
        Inform,
    };
    Type type = Type::Discover;
    bool is_reply = false;
    std::uint32_t transaction = 0;
    std::uint16_t seconds = 0;
    bool broadcast = false;  // the sender cannot receive unicast before it has an address
    MacAddress hardware_address{};
    IpAddress client{};  // ciaddr: what the client has
    IpAddress yours{};   // yiaddr: what the client may have
    // Without 53 and 52; each code once, its parts joined (RFC 3396).
    std::vector<std::pair<std::uint8_t, Bytes>> options{};

    // Null when it is not there.
    const Bytes* option(std::uint8_t code) const;
    bool operator==(const DhcpMessage&) const = default;
};

// The UDP payload, padded to what old relays expect (RFC 1542 section 2.1).
Bytes encode(const DhcpMessage& message);

// InvalidData for anything that is not a whole DHCP message over Ethernet within
// dhcp_message_limit. Options of unknown meaning are kept, a missing end mark is forgiven.
Result<DhcpMessage> decode_dhcp(ByteView payload);

}  // namespace fortros
