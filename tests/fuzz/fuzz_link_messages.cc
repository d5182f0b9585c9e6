// Datagrams from the kernel about links, addresses, routes and router advertisements: some of what is
// in them (names, MACs, options) others have chosen.
#include <cstring>

#include "core/router_resolvers.h"

// Their readers are nobody else's business.
#include "os/link_control.cc"  // NOLINT(bugprone-suspicious-include)
#include "os/link_monitor.cc"  // NOLINT(bugprone-suspicious-include)

using namespace fortros;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Bytes datagram(data, data + size);  // aligned, and with an end that is watched
    nlmsghdr first{};
    if (size >= sizeof(first)) std::memcpy(&first, data, sizeof(first));
    std::vector<LinkState> links;
    std::vector<FoundAddress> addresses;
    std::vector<FoundGateway> gateways;
    (void)read_netlink_datagram(datagram, first.nlmsg_seq, "fuzz",
                                [&](const nlmsghdr& message) -> Status {
                                    (void)gather_link(links, message);
                                    (void)gather_address(addresses, message);
                                    (void)gather_gateway(gateways, message);
                                    if (const auto* header = family_header<nduseroptmsg>(message)) {
                                        const ByteView options = options_of(*header, message);
                                        ASSERT(options.size() <= message.nlmsg_len);
                                        (void)parse_router_resolvers(options);
                                    }
                                    return {};
                                });
    for (const LinkState& link : links) ASSERT(link.name.size() <= size);
    return 0;
}
