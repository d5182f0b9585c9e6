// What the maintainer and the Serf agent of its node say to each other (Serf's RPC, version 1: a
// header and, where there is one, a body, each a MessagePack value). Pure. What Serf says of a member is
// news, never trust: its attestation, which travels in a tag, is checked by whoever takes it up.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "core/address.h"
#include "core/key.h"
#include "maintainer/message_pack.h"

namespace fortros {

// Of one value that the agent says; a list of 10,000 members has some 5 MB.
inline constexpr std::size_t serf_value_limit = std::size_t{64} * 1024 * 1024;
inline constexpr std::size_t serf_members_limit = 131072;

// The one tag of a member, of the 512 bytes that Serf allows. Where a lighthouse can be reached is the
// gateways' to say: anybody in the cluster could claim it here.
inline constexpr std::string_view serf_attestation_tag = "a";  // base64

// A member as Serf tells of it. Its name is its public key (base64url).
struct SerfMember {
    PublicKey key;
    bool alive = false;  // else it is silent, or has left: nothing that ends a membership
    Bytes attestation{};
    bool operator==(const SerfMember&) const = default;
};

// Where Serf thinks that a node is, in seconds of round trip (Vivaldi, with Serf's adjustment).
struct SerfCoordinate {
    std::vector<double> position{};
    double height = 0;
    double adjustment = 0;
    bool operator==(const SerfCoordinate&) const = default;
};
inline constexpr std::size_t serf_dimensions_limit = 16;

// The estimated round trip. Absent where the two have no common space, or are nowhere near the earth.
std::optional<Duration> estimate_rtt(const SerfCoordinate& a, const SerfCoordinate& b);

// --- what is said ---
// `sequence` comes back in the answer; of the stream, in each of its events.
Bytes serf_handshake(std::uint32_t sequence);
Bytes serf_authenticate(std::uint32_t sequence, std::string_view password);
Bytes serf_ask_members(std::uint32_t sequence);
Bytes serf_ask_stream(std::uint32_t sequence);
Bytes serf_ask_coordinate(std::uint32_t sequence, const PublicKey& node);
Bytes serf_announce(std::uint32_t sequence, ByteView attestation);
Bytes serf_join(std::uint32_t sequence, const std::vector<IpAddress>& overlay_addresses);

// --- what is heard ---
struct SerfHeader {
    std::uint32_t sequence = 0;
    std::string error{};  // empty: none
};
Result<SerfHeader> parse_serf_header(const MessagePack& value);

// The members of an answer or an event. Who has another name than a key, or tags that do not parse,
// is left out: there may be agents in the cluster that are none of ours.
Result<std::vector<SerfMember>> parse_serf_members(const MessagePack& value);

// Absent where the agent knows none yet.
Result<std::optional<SerfCoordinate>> parse_serf_coordinate(const MessagePack& value);

}  // namespace fortros
