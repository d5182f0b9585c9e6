// Whatever comes to port 546: decoded, judged as a lease, and given to a client in every state.
#include <algorithm>

#include "base/result.h"
#include "core/dhcp6_client.h"
#include "core/dhcp6_lease.h"
#include "core/dhcp6_message.h"
#include "core/dhcp_lease.h"
#include "core/link_configuration.h"

using namespace fortros;

static constexpr MacAddress mac{0x02, 0xf0, 0, 0, 0, 0x77};  // whose IAID the corpus has
static constexpr std::uint32_t iaid = 0x77;

static void check_message(ByteView data) {
    const auto message = decode_dhcp6(data);
    if (!message) return;
    const Bytes again = encode(*message);
    ASSERT(again.size() == data.size() && std::ranges::equal(again, data));
    const auto information = information_of(*message);
    if (information) ASSERT(information->resolvers.size() <= dhcp_addresses_limit);
    const auto lease = lease_of(*message, iaid);
    if (!lease) return;
    ASSERT(lease->lifetime >= shortest_lease && lease->preferred <= lease->lifetime);
    ASSERT(lease->renew_after < lease->rebind_after && lease->rebind_after < lease->lifetime);
    ASSERT(lease->renew_after > std::chrono::seconds{0});
    configuration_of(*lease, 1024);
}

// The input's transaction number, client and server are made to fit, or the client would ignore
// nearly all.
static Bytes addressed_to(ByteView sent, ByteView data) {
    auto reply = decode_dhcp6(data);
    const auto request = decode_dhcp6(sent);
    if (!reply || !request) return {};
    reply->transaction = request->transaction;
    const auto put = [&](std::uint16_t code) {
        const Bytes* value = request->option(code);
        if (!value) return;
        std::erase_if(reply->options, [&](const auto& it) { return it.first == code; });
        reply->options.emplace_back(code, *value);
    };
    put(dhcp6_option::client_id);
    put(dhcp6_option::server_id);
    if (request->type != Dhcp6Message::Type::Solicit) reply->type = Dhcp6Message::Type::Reply;
    return encode(*reply);
}

static void run_client(Dhcp6Wish wish, ByteView data) {
    SeededRandom random{1};
    Dhcp6Client client{mac, random};
    Instant now{};
    client.start(wish, now);
    Dhcp6Client::Step done;
    for (int step = 0; step < 12; ++step) {
        const Bytes reply = done.send.empty() ? Bytes{} : addressed_to(done.send, data);
        done = client.received(reply, now);
        if (done.empty() && client.deadline() != Instant::max()) {
            ASSERT(step == 0 || client.deadline() > now);
            now = client.deadline();
            done = client.tick(now);
        }
        client.problem();
    }
    client.decline(now);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    check_message({data, size});
    run_client(Dhcp6Wish::Information, {data, size});
    run_client(Dhcp6Wish::Address, {data, size});
    return 0;
}
