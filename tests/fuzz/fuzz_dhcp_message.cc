// Whatever comes from port 67: decoded, judged as a lease, and given to a client in every state.
#include <variant>

#include "base/result.h"
#include "core/dhcp_client.h"
#include "core/dhcp_lease.h"
#include "core/dhcp_message.h"
#include "core/link_configuration.h"

using namespace fortros;

static constexpr MacAddress mac{0x52, 0x54, 0, 0xa, 0xb, 0xc};

static void check_message(ByteView data) {
    const auto message = decode_dhcp(data);
    if (!message) return;
    // What was understood means the same when we say it.
    const Bytes again = encode(*message);
    if (again.size() <= dhcp_message_limit) ASSERT(decode_dhcp(again) == *message);
    const auto lease = lease_of(*message);
    if (!lease) return;
    ASSERT(lease->lifetime >= shortest_lease);
    ASSERT(lease->renew_after < lease->rebind_after && lease->rebind_after < lease->lifetime);
    ASSERT(lease->routes.size() <= dhcp_routes_limit);
    ASSERT(lease->resolvers.size() <= dhcp_addresses_limit);
    configuration_of(*lease, 1024);
}

// The input's transaction number and MAC are made to fit, or the client would ignore nearly all.
static Bytes addressed_to(const DhcpClient::Send& send, ByteView data) {
    Bytes reply(data.begin(), data.end());
    if (reply.size() >= 240) {
        std::copy_n(send.payload.begin() + 4, 4, reply.begin() + 4);
        std::copy_n(mac.begin(), mac.size(), reply.begin() + 28);
    }
    return reply;
}

static void run_client(ByteView data) {
    SeededRandom random{1};
    DhcpClient client{mac, "node", random};
    Instant now{};
    auto actions = client.start(now);
    for (int step = 0; step < 12; ++step) {
        Bytes reply;
        for (const auto& action : actions)
            if (const auto* send = std::get_if<DhcpClient::Send>(&action))
                reply = addressed_to(*send, data);
        actions = client.received(reply, now);
        if (actions.empty() && client.deadline() != Instant::max()) {
            ASSERT(client.deadline() > now);
            now = client.deadline();
            actions = client.tick(now);
        }
        client.problem();
    }
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    check_message({data, size});
    run_client({data, size});
    return 0;
}
