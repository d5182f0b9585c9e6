// An in-memory DHCP server, twin of the one at the other end of os/dhcp_socket.h: answers payloads
// with payloads, as its public members say at that moment. It never keeps time.
#pragma once

#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "core/dhcp_message.h"

namespace fortros {

class FakeDhcpServer {
public:
    enum class Mood {
        Helpful,
        Silent,      // hears everything, says nothing
        OffersOnly,  // offers and never confirms
        Refusing,    // offers and then refuses
    };
    Mood mood = Mood::Helpful;
    bool rapid_commit = false;
    IpAddress address = *IpAddress::parse("192.0.2.1");
    IpNetwork gives = *IpNetwork::parse("192.0.2.77/24");
    std::chrono::seconds lifetime{3600};
    // Further options of its offers and confirmations.
    std::vector<std::pair<std::uint8_t, Bytes>> options{};

    // What it has heard that concerned it, newest last.
    std::vector<DhcpMessage> heard{};

    // The answer to a client's payload, nothing if it has none.
    std::optional<Bytes> answer(ByteView payload);

    // A reply to `request` of any type, for what no sane server would say.
    DhcpMessage reply(const DhcpMessage& request, DhcpMessage::Type type) const;
};

// An option's value from numbers.
Bytes option_address(std::string_view text);
Bytes option_seconds(std::chrono::seconds seconds);

}  // namespace fortros
