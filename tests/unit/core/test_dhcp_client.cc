#include "core/dhcp_client.h"

#include <doctest/doctest.h>

#include "fakes/dhcp_server.h"

using namespace fortros;

using Type = DhcpMessage::Type;
using Mood = FakeDhcpServer::Mood;

static constexpr MacAddress mac{0x52, 0x54, 0, 0xa, 0xb, 0xc};
static constexpr Instant boot{};

// A client and its servers on one wire on which nothing takes time. Whatever the client does at an
// instant is done before the next.
struct Wire {
    explicit Wire(std::vector<FakeDhcpServer> them = {FakeDhcpServer{}})
        : servers(std::move(them)) {}

    SeededRandom random{1};
    DhcpClient client{mac, "node7", random};
    std::vector<FakeDhcpServer> servers;
    Instant now = boot;

    struct Sent {
        Instant at;
        DhcpMessage message;
        DhcpClient::Send how;
    };
    std::vector<Sent> sent;
    std::vector<DhcpLease> leases;
    std::vector<DhcpClient::Lost> losses;

    void perform(std::vector<DhcpClient::Action> actions) {
        for (auto& action : actions) {
            if (auto* send = std::get_if<DhcpClient::Send>(&action)) {
                sent.push_back({now, *decode_dhcp(send->payload), *send});
                for (auto& server : servers)
                    if (const auto answer = server.answer(send->payload)) deliver(*answer);
            } else if (auto* bound = std::get_if<DhcpClient::Bound>(&action)) {
                leases.push_back(std::move(bound->lease));
            } else {
                losses.push_back(std::move(std::get<DhcpClient::Lost>(action)));
            }
        }
    }
    void deliver(ByteView payload) { perform(client.received(payload, now)); }
    void deliver(const DhcpMessage& message) { deliver(encode(message)); }
    void start() { perform(client.start(now)); }

    // Lets time pass, from deadline to deadline.
    void pass(Duration duration) {
        const Instant end = now + duration;
        while (client.deadline() <= end) {
            now = client.deadline();
            perform(client.tick(now));
        }
        now = end;
    }
    std::vector<Type> types() const {
        std::vector<Type> all;
        for (const auto& each : sent) all.push_back(each.message.type);
        return all;
    }
    const Sent& last() const { return sent.back(); }
};

static FakeDhcpServer server(Mood mood, std::string_view address = "192.0.2.1") {
    FakeDhcpServer server;
    server.mood = mood;
    server.address = *IpAddress::parse(address);
    return server;
}

// The boot would have no IPv4.
TEST_CASE("a client gets a lease in four messages") {
    Wire wire;
    wire.start();
    CHECK(wire.types() == std::vector{Type::Discover, Type::Request});
    REQUIRE(wire.leases.size() == 1);
    CHECK(wire.leases[0].address == *IpNetwork::parse("192.0.2.77/24"));
    CHECK(wire.client.lease() == wire.leases[0]);
    CHECK(wire.client.problem().empty());
    const DhcpMessage& request = wire.sent[1].message;
    CHECK(*request.option(dhcp_option::requested_address) == option_address("192.0.2.77"));
    CHECK(*request.option(dhcp_option::server_id) == option_address("192.0.2.1"));
    CHECK(request.transaction == wire.sent[0].message.transaction);
    for (const auto& each : wire.sent) {
        CHECK(each.how.source == IpAddress{});
        CHECK_FALSE(each.how.unicast_to.has_value());
    }
}

// The real root's client would get another address, and the tunnel would lose its underlay.
TEST_CASE("every message carries the client identifier that networkd uses for a MAC") {
    Wire wire;
    wire.start();
    const Bytes expected{1, 0x52, 0x54, 0, 0xa, 0xb, 0xc};
    for (const auto& each : wire.sent) {
        CHECK(*each.message.option(dhcp_option::client_id) == expected);
        CHECK(*each.message.option(dhcp_option::host_name) == Bytes{'n', 'o', 'd', 'e', '7'});
        CHECK(each.message.hardware_address == mac);
    }
    CHECK(wire.leases[0].client_id == expected);
}

// Two messages fewer: at a boot over a slow relay that is half the wait.
TEST_CASE("a server that commits rapidly is believed at once") {
    FakeDhcpServer rapid;
    rapid.rapid_commit = true;
    Wire wire({rapid});
    wire.start();
    CHECK(wire.types() == std::vector{Type::Discover});
    CHECK(wire.leases.size() == 1);
}

// RFC 4039: any ACK that strays by would otherwise configure the node.
TEST_CASE("an ACK nobody asked for is ignored") {
    Wire wire({server(Mood::Silent)});
    wire.start();
    wire.deliver(wire.servers[0].reply(wire.last().message, Type::Ack));
    CHECK(wire.leases.empty());
}

// A link whose server needs seconds to answer (spanning tree, a relay, a cold server) must not wait
// for a minute's back-off; one whose server is dead must not be flooded.
TEST_CASE("an unanswered client asks again after 1, 2, 4, 8, 8 seconds, give or take a quarter") {
    Wire wire({server(Mood::Silent)});
    wire.start();
    wire.pass(5min);
    const double expected[] = {1, 2, 4, 8, 8, 8};
    for (std::size_t i = 0; i < std::size(expected); ++i) {
        CAPTURE(i);
        const double waited = milliseconds_of(wire.sent[i + 1].at - wire.sent[i].at) / 1000;
        CHECK(waited >= expected[i] * 0.75);
        CHECK(waited <= expected[i] * 1.25);
    }
    CHECK(wire.sent.size() < 60);
    CHECK(wire.last().message.transaction == wire.sent[0].message.transaction);
    CHECK(wire.last().message.seconds > 280);
    CHECK(wire.client.problem() ==
          "no DHCP answer, asked " + std::to_string(wire.sent.size()) + " times");
}

// A thousand nodes that get power together would ask together, for ever.
TEST_CASE("two clients do not ask in step") {
    const auto times = [](std::uint64_t seed) {
        SeededRandom random{seed};
        DhcpClient client{mac, "", random};
        client.start(boot);
        std::vector<Instant> at;
        for (int i = 0; i < 5; ++i) {
            at.push_back(client.deadline());
            client.tick(client.deadline());
        }
        return at;
    };
    CHECK(times(1) != times(2));
    CHECK(times(1) == times(1));
}

// An answer to the first question that arrives after the second was asked is as good.
TEST_CASE("a late offer is taken") {
    Wire wire({server(Mood::Silent)});
    wire.start();
    wire.pass(8s);
    wire.servers[0].mood = Mood::Helpful;
    wire.deliver(wire.servers[0].reply(wire.sent[0].message, Type::Offer));
    CHECK(wire.leases.size() == 1);
}

// Some networks drop unicast to hosts that have no address yet; some drop broadcast: begin with
// what costs least.
TEST_CASE("answers by broadcast are asked for only after three unanswered questions") {
    Wire wire({server(Mood::Silent)});
    wire.start();
    wire.pass(20s);
    REQUIRE(wire.sent.size() >= 5);
    for (std::size_t i = 0; i < wire.sent.size(); ++i)
        CHECK(wire.sent[i].message.broadcast == (i >= 3));
    wire.servers[0].mood = Mood::Helpful;
    wire.pass(10s);
    CHECK(wire.last().message.type == Type::Request);
    CHECK(wire.last().message.broadcast);
}

// Somebody else's offers, other transactions and other machines' answers are all on the same wire.
TEST_CASE("what is not for this exchange is ignored") {
    Wire wire({server(Mood::Silent)});
    wire.start();
    FakeDhcpServer helpful;
    const DhcpMessage good = helpful.reply(wire.last().message, Type::Offer);
    DhcpMessage other_transaction = good;
    ++other_transaction.transaction;
    DhcpMessage other_machine = good;
    other_machine.hardware_address[5] ^= 1;
    DhcpMessage not_a_reply = good;
    not_a_reply.is_reply = false;
    for (const DhcpMessage& stray : {other_transaction, other_machine, not_a_reply})
        wire.deliver(stray);
    wire.deliver(Bytes{1, 2, 3});
    CHECK(wire.sent.size() == 1);
    wire.deliver(good);
    CHECK(wire.last().message.type == Type::Request);
}

// Two servers on one wire, one of them a stranger's: mixing their answers gives a lease of neither.
TEST_CASE("of two servers the first is chosen and the other ignored") {
    Wire wire({server(Mood::OffersOnly, "192.0.2.1"), server(Mood::Helpful, "192.0.2.2")});
    wire.servers[1].gives = *IpNetwork::parse("192.0.2.88/24");
    wire.start();
    REQUIRE(wire.types() == std::vector{Type::Discover, Type::Request});
    CHECK(*wire.last().message.option(dhcp_option::server_id) == option_address("192.0.2.1"));
    const DhcpMessage request = wire.last().message;
    wire.deliver(wire.servers[1].reply(request, Type::Offer));
    wire.deliver(wire.servers[1].reply(request, Type::Ack));
    wire.deliver(wire.servers[1].reply(request, Type::Nak));
    CHECK(wire.sent.size() == 2);
    CHECK(wire.leases.empty());
    wire.deliver(wire.servers[0].reply(request, Type::Ack));
    REQUIRE(wire.leases.size() == 1);
    CHECK(wire.leases[0].server == *IpAddress::parse("192.0.2.1"));
}

// A server that dies between offer and ACK, or offers what it will not give, must not hold the boot.
TEST_CASE("a server that never confirms is left for another") {
    Wire wire({server(Mood::OffersOnly, "192.0.2.1")});
    wire.start();
    wire.pass(500ms);
    CHECK(wire.client.problem() == "no DHCP answer, asked once");
    wire.servers.push_back(server(Mood::Helpful, "192.0.2.2"));
    std::swap(wire.servers[0], wire.servers[1]);
    wire.pass(20s);
    REQUIRE(wire.leases.size() == 1);
    CHECK(wire.leases[0].server == *IpAddress::parse("192.0.2.2"));
    CHECK(wire.types() == std::vector{Type::Discover, Type::Request, Type::Request, Type::Request,
                                      Type::Request, Type::Discover, Type::Request});
    CHECK(wire.sent[5].message.transaction != wire.sent[0].message.transaction);
}

// A stranger's box that answers first and gives nothing would win each time anew.
TEST_CASE("a server that did not confirm is chosen again only when no other offers") {
    Wire wire({server(Mood::OffersOnly, "192.0.2.1"), server(Mood::Helpful, "192.0.2.2")});
    SUBCASE("another does") {
        wire.start();
        wire.pass(20s);
        REQUIRE(wire.leases.size() == 1);
        CHECK(wire.leases[0].server == *IpAddress::parse("192.0.2.2"));
    }
    SUBCASE("no other does") {
        wire.servers.pop_back();
        wire.start();
        wire.pass(20s);
        wire.servers[0].mood = Mood::Helpful;
        wire.pass(20s);
        REQUIRE(wire.leases.size() == 1);
        CHECK(wire.leases[0].server == *IpAddress::parse("192.0.2.1"));
    }
}

// The engineer before the console must see which server it is, and what it says.
TEST_CASE("a refusal is told, and starts again") {
    Wire wire({server(Mood::Refusing)});
    wire.start();
    CHECK(wire.types() ==
          std::vector{Type::Discover, Type::Request, Type::Discover, Type::Request});
    CHECK(wire.client.problem() == "DHCP server 192.0.2.1 refused (not here)");
    // By turns offered and refused: the client slows down.
    wire.pass(1min);
    CHECK(wire.sent.size() < 40);
    CHECK(wire.leases.empty());
    wire.servers[0].mood = Mood::Helpful;
    wire.pass(10s);
    CHECK(wire.leases.size() == 1);
    CHECK(wire.client.problem().empty());
}

// An offer without an address is no reason to stop listening to the others.
TEST_CASE("an offer that cannot be used is passed over") {
    Wire wire({server(Mood::Silent)});
    wire.start();
    DhcpMessage bad = wire.servers[0].reply(wire.last().message, Type::Offer);
    bad.yours = IpAddress{};
    wire.deliver(bad);
    CHECK(wire.sent.size() == 1);
    CHECK(wire.client.problem() == "a DHCP offer cannot be used: it gives no usable address");
    wire.deliver(wire.servers[0].reply(wire.last().message, Type::Offer));
    CHECK(wire.last().message.type == Type::Request);
}

// A boot that takes long, or holds, would lose its address under the tunnel.
TEST_CASE("a lease is renewed from its server at half its life") {
    Wire wire;
    wire.start();
    wire.pass(1801s);
    REQUIRE(wire.leases.size() == 2);
    CHECK(wire.losses.empty());
    const auto& renewal = wire.last();
    CHECK(renewal.at <= boot + 1800s);
    CHECK(renewal.at >= boot + 1700s);
    CHECK(renewal.message.client == *IpAddress::parse("192.0.2.77"));
    CHECK(renewal.how.source == *IpAddress::parse("192.0.2.77"));
    CHECK(renewal.how.unicast_to == *IpAddress::parse("192.0.2.1"));
    // RFC 2131 table 5: neither may be in a renewal.
    CHECK(renewal.message.option(dhcp_option::requested_address) == nullptr);
    CHECK(renewal.message.option(dhcp_option::server_id) == nullptr);
    CHECK(renewal.message.transaction != wire.sent[0].message.transaction);
}

// The server moved, or died and was replaced.
TEST_CASE("with its server gone a lease is renewed from any") {
    Wire wire;
    wire.start();
    wire.servers[0].mood = Mood::Silent;
    wire.pass(3149s);
    for (const auto& each : wire.sent)
        if (each.at > boot) CHECK(each.how.unicast_to.has_value());
    const DhcpMessage renewal = wire.last().message;
    FakeDhcpServer other = server(Mood::Helpful, "192.0.2.2");
    wire.deliver(other.reply(renewal, Type::Ack));
    CHECK(wire.leases.size() == 1);  // not asked yet
    wire.servers.push_back(other);
    wire.pass(1s);
    CHECK_FALSE(wire.last().how.unicast_to.has_value());
    CHECK(wire.last().how.source == *IpAddress::parse("192.0.2.77"));
    REQUIRE(wire.leases.size() == 2);
    CHECK(wire.leases[1].server == *IpAddress::parse("192.0.2.2"));
}

// Nobody answers for an hour: the address may be somebody else's by then.
TEST_CASE("a lease that nobody renews ends, and the client begins anew") {
    Wire wire;
    wire.start();
    wire.servers[0].mood = Mood::Silent;
    wire.pass(3599s);
    CHECK(wire.losses.empty());
    // Not more than one message a minute while there is an address.
    CHECK(wire.sent.size() < 20);
    wire.pass(2s);
    REQUIRE(wire.losses.size() == 1);
    CHECK(wire.losses[0].lease.address == *IpNetwork::parse("192.0.2.77/24"));
    CHECK(wire.last().message.type == Type::Discover);
    CHECK(*wire.last().message.option(dhcp_option::requested_address) ==
          option_address("192.0.2.77"));
    CHECK(wire.last().message.client == IpAddress{});
    CHECK_FALSE(wire.client.problem().empty());
}

// The lease was given to somebody else: two hosts with one address talk to nobody.
TEST_CASE("a refused renewal takes the address away at once") {
    Wire wire;
    wire.start();
    wire.servers[0].mood = Mood::Refusing;
    wire.pass(1801s);
    REQUIRE(wire.losses.size() == 1);
    CHECK(wire.losses[0].why.code == ErrorCode::Refused);
    CHECK(wire.losses[0].why.text() == "DHCP server 192.0.2.1 refused (not here)");
    CHECK_FALSE(wire.client.lease().has_value());
}

// A stranger that refuses our server's renewals would take the node off the network.
TEST_CASE("while its server is asked, another's refusal is ignored") {
    Wire wire;
    wire.start();
    wire.servers[0].mood = Mood::Silent;
    wire.pass(1801s);
    wire.deliver(server(Mood::Helpful, "192.0.2.9").reply(wire.last().message, Type::Nak));
    CHECK(wire.losses.empty());
}

// Time would run backwards or stand still for a server without time.
TEST_CASE("an endless lease is never renewed and never ends") {
    Wire wire;
    wire.servers[0].lifetime = endless_lease;
    wire.start();
    REQUIRE(wire.leases.size() == 1);
    CHECK(wire.client.deadline() == Instant::max());
}

// Ten seconds are legal: still not more than a handful of messages, and none lost.
TEST_CASE("the shortest lease is kept alive without a flood") {
    Wire wire;
    wire.servers[0].lifetime = shortest_lease;
    wire.start();
    wire.pass(60s);
    CHECK(wire.losses.empty());
    CHECK(wire.sent.size() <= 16);
}

// A cable pulled and put into another switch: the old lease says nothing there.
TEST_CASE("started again, a client asks for its old address and takes what it is given") {
    Wire wire;
    wire.start();
    wire.pass(60s);
    wire.servers[0].gives = *IpNetwork::parse("192.0.2.99/24");
    wire.start();
    const auto& discover = wire.sent[wire.sent.size() - 2];
    CHECK(discover.message.type == Type::Discover);
    CHECK(*discover.message.option(dhcp_option::requested_address) == option_address("192.0.2.77"));
    CHECK(discover.message.seconds == 0);
    CHECK(discover.how.source == IpAddress{});
    CHECK(wire.losses.empty());
    CHECK(wire.client.lease()->address == *IpNetwork::parse("192.0.2.99/24"));
    wire.servers[0].mood = Mood::Silent;
    wire.start();
    CHECK_FALSE(wire.client.lease().has_value());
}

// Whatever arrives, in whatever state: no crash, no storm, and an honest server still wins.
TEST_CASE("random replies neither break a client nor keep it from an honest server") {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        CAPTURE(seed);
        SeededRandom dice{seed};
        Wire wire({server(Mood::Silent)});
        wire.start();
        for (int i = 0; i < 200; ++i) {
            FakeDhcpServer stranger =
                server(Mood::Helpful, dice.below(2) ? "192.0.2.66" : "192.0.2.1");
            stranger.lifetime = std::chrono::seconds{dice.below(200)};
            DhcpMessage reply =
                stranger.reply(wire.last().message, static_cast<Type>(1 + dice.below(8)));
            if (dice.below(3) == 0) reply.options.emplace_back(dhcp_option::rapid_commit, Bytes{});
            if (dice.below(4) == 0) reply.options.clear();
            wire.deliver(reply);
            wire.pass(std::chrono::milliseconds{dice.below(5000)});
        }
        wire.servers[0].mood = Mood::Helpful;
        wire.pass(10min);
        CHECK(wire.client.lease().has_value());
        CHECK(wire.sent.size() < 1500);
    }
}
