// Datagrams from the kernel: messages, attributes, errors in words, WireGuard devices. What is read
// from a device and written as changes must be readable again.
#include <algorithm>
#include <cstring>

#include "os/netlink.h"
#include "os/wireguard_codec.h"

using namespace fortros;

static constexpr std::uint16_t family = 30;
static constexpr std::size_t capacity = 4096;

static void write_and_read(const WireGuardStatus& status) {
    std::vector<WireGuardChange> changes;
    for (const WireGuardPeerStatus& peer : status.peers)
        changes.push_back({.peer = peer.peer, .set_endpoint = true, .set_keepalive = true});
    WireGuardStatus again;
    const Status written = write_wireguard_changes(
        family, "fortros0", changes, capacity, [&](NetlinkMessage& message) -> Status {
            ASSERT(message.size() <= capacity);
            return read_wireguard_device(again,
                                         *reinterpret_cast<const nlmsghdr*>(message.view().data()));
        });
    ASSERT(written);
    ASSERT(std::ranges::equal(again.peers, status.peers, {}, &WireGuardPeerStatus::peer,
                              &WireGuardPeerStatus::peer));
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Bytes datagram(data, data + size);  // aligned, and with an end that is watched
    nlmsghdr first{};
    if (size >= sizeof(first)) std::memcpy(&first, data, sizeof(first));
    WireGuardStatus status;
    (void)read_netlink_datagram(datagram, first.nlmsg_seq, "fuzz",
                                [&](const nlmsghdr& message) -> Status {
                                    (void)read_wireguard_private_key(message);
                                    return read_wireguard_device(status, message);
                                });
    write_and_read(status);
    return 0;
}
