// DHCPv6 messages between a client and a server (RFC 8415): value to bytes and back. It knows the
// frame, not the meaning of options, and no relay's messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace fortros {

inline constexpr std::uint16_t dhcp6_client_port = 546;
inline constexpr std::uint16_t dhcp6_server_port = 547;

// Bytes of UDP payload: what fits unfragmented into Ethernet's 1500.
inline constexpr std::size_t dhcp6_message_limit = 1452;

// The option numbers in use here (RFC 8415 section 21 unless said).
namespace dhcp6_option {
inline constexpr std::uint16_t client_id = 1;
inline constexpr std::uint16_t server_id = 2;
inline constexpr std::uint16_t ia_na = 3;
inline constexpr std::uint16_t ia_address = 5;
inline constexpr std::uint16_t option_request = 6;
inline constexpr std::uint16_t elapsed_time = 8;
inline constexpr std::uint16_t status_code = 13;
inline constexpr std::uint16_t rapid_commit = 14;
inline constexpr std::uint16_t resolvers = 23;  // RFC 3646
inline constexpr std::uint16_t refresh_time = 32;
inline constexpr std::uint16_t ntp_server = 56;  // RFC 5908
inline constexpr std::uint16_t solicit_max_rt = 82;
inline constexpr std::uint16_t information_max_rt = 83;
}  // namespace dhcp6_option

// As they came; a code may come more than once.
using Dhcp6Options = std::vector<std::pair<std::uint16_t, Bytes>>;

// The first of this code; null when there is none.
const Bytes* find_option(const Dhcp6Options& options, std::uint16_t code);
void write_option(ByteWriter& out, std::uint16_t code, ByteView value);
// InvalidData when the options do not fill the area exactly.
Result<Dhcp6Options> read_dhcp6_options(ByteView area);

struct Dhcp6Message {
    enum class Type : std::uint8_t {
        Solicit = 1,
        Advertise,
        Request,
        Confirm,
        Renew,
        Rebind,
        Reply,
        Release,
        Decline,
        Reconfigure,
        InformationRequest,
    };
    Type type = Type::Solicit;
    std::uint32_t transaction = 0;  // 24 bits
    Dhcp6Options options{};

    const Bytes* option(std::uint16_t code) const { return find_option(options, code); }
    bool operator==(const Dhcp6Message&) const = default;
};

Bytes encode(const Dhcp6Message& message);
// InvalidData for anything that is not a whole message within dhcp6_message_limit.
Result<Dhcp6Message> decode_dhcp6(ByteView payload);

}  // namespace fortros
