// An in-memory DHCPv6 server, twin of the one at the other end of os/dhcp6_socket.h: answers payloads
// with payloads, as its public members say at that moment. It never keeps time.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

#include "core/address.h"
#include "core/dhcp6_message.h"

namespace fortros {

class FakeDhcp6Server {
public:
    enum class Mood {
        Helpful,
        Silent,       // hears everything, says nothing
        OffersOnly,   // advertises and never confirms
        Refusing,     // advertises and then has no address, or no binding
        NoAddresses,  // knows the network, has nothing to give
    };
    Mood mood = Mood::Helpful;
    bool rapid_commit = false;
    Bytes duid{0, 3, 0, 1, 2, 0, 0, 0, 0, 1};
    IpAddress gives = *IpAddress::parse("2001:db8:1::77");
    std::chrono::seconds preferred{1800};
    std::chrono::seconds lifetime{3600};
    std::chrono::seconds renew_after{0};  // 0: the client's choice
    std::chrono::seconds rebind_after{0};
    std::vector<IpAddress> resolvers{*IpAddress::parse("2001:db8:1::53")};
    Dhcp6Options options{};  // further ones

    // What it has heard that concerned it, newest last.
    std::vector<Dhcp6Message> heard{};

    // The answer to a client's payload, nothing if it has none.
    std::optional<Bytes> answer(ByteView payload);

    // A reply to `request` of any type, for what no sane server would say.
    Dhcp6Message reply(const Dhcp6Message& request, Dhcp6Message::Type type) const;
};

Bytes dhcp6_status(std::uint16_t code, std::string_view words);

}  // namespace fortros
