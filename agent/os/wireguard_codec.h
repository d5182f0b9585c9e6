// WireGuard's generic netlink messages (linux/wireguard.h), written and read. Pure: it has no
// socket. Large peer sets are split over messages on the way in and merged on the way out.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "core/key.h"
#include "core/wireguard.h"
#include "os/netlink.h"

namespace fortros {

// A message to family number `family` about the interface `name`, without further content:
// WG_CMD_GET_DEVICE or WG_CMD_SET_DEVICE.
NetlinkMessage wireguard_message(std::uint16_t family, std::uint8_t command,
                                 const std::string& name,
                                 std::size_t capacity = NetlinkMessage::default_capacity);

// Writes `changes` into as few WG_CMD_SET_DEVICE messages of `capacity` bytes as possible and gives
// each to `send`; an error of `send` ends it. Nothing is sent for no change.
using SendNetlinkMessage = std::function<Status(NetlinkMessage&)>;
Status write_wireguard_changes(std::uint16_t family, const std::string& name,
                               std::span<const WireGuardChange> changes, std::size_t capacity,
                               const SendNetlinkMessage& send);

// Adds what one message of a WG_CMD_GET_DEVICE dump tells to `status`. A peer that goes on in the
// next message is continued. InvalidData when a peer has no key.
Status read_wireguard_device(WireGuardStatus& status, const nlmsghdr& message);

// The private key in such a message, where there is one.
std::optional<PrivateKey> read_wireguard_private_key(const nlmsghdr& message);

}  // namespace fortros
