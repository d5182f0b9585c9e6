#include "core/dhcp6_client.h"

#include <doctest/doctest.h>

#include "core/dhcp_lease.h"
#include "fakes/dhcp6_server.h"

using namespace fortros;

using std::chrono::seconds;
using Type = Dhcp6Message::Type;
using Mood = FakeDhcp6Server::Mood;

static constexpr MacAddress mac{0x52, 0x54, 0, 0xa, 0xb, 0xc};
static constexpr Instant boot{};

namespace {

// A client and its servers on one wire on which nothing takes time.
struct Wire {
    explicit Wire(std::vector<FakeDhcp6Server> them = {FakeDhcp6Server{}})
        : servers(std::move(them)) {}

    SeededRandom random{1};
    Dhcp6Client client{mac, random};
    std::vector<FakeDhcp6Server> servers;
    Instant now = boot;

    struct Sent {
        Instant at;
        Dhcp6Message message;
    };
    std::vector<Sent> sent;
    std::vector<Dhcp6Lease> leases;
    std::vector<Error> losses;

    void perform(const Dhcp6Client::Step& step) {
        if (step.lost) losses.push_back(*step.lost);
        if (step.bound) leases.push_back(*client.lease());
        if (step.send.empty()) return;
        sent.push_back({now, *decode_dhcp6(step.send)});
        for (auto& server : servers)
            if (const auto answer = server.answer(step.send)) deliver(*answer);
    }
    void deliver(ByteView payload) { perform(client.received(payload, now)); }
    void deliver(const Dhcp6Message& message) { deliver(encode(message)); }
    // Begins, and lets its first delay pass.
    void start(Dhcp6Wish wish = Dhcp6Wish::Address) {
        client.start(wish, now);
        pass(100ms);
    }
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

FakeDhcp6Server server(Mood mood) {
    FakeDhcp6Server server;
    server.mood = mood;
    return server;
}

// The address that an IA_NA names; nothing when it names none.
std::optional<IpAddress> address_in(const Dhcp6Message& message) {
    const Bytes* association = message.option(dhcp6_option::ia_na);
    REQUIRE(association);
    const auto options = read_dhcp6_options(ByteView(*association).subspan(12));
    REQUIRE(options);
    const Bytes* part = find_option(*options, dhcp6_option::ia_address);
    return part ? IpAddress::from_bytes(ByteView(*part).first(16)) : std::nullopt;
}

}  // namespace

// An IPv6-only network that hands out addresses by DHCP: the boot would have none.
TEST_CASE("a DHCPv6 client gets an address in four messages") {
    Wire wire;
    wire.start();
    CHECK(wire.types() == std::vector{Type::Solicit, Type::Request});
    REQUIRE(wire.leases.size() == 1);
    CHECK(wire.leases[0].address == *IpAddress::parse("2001:db8:1::77"));
    CHECK(wire.leases[0].resolvers == std::vector{*IpAddress::parse("2001:db8:1::53")});
    CHECK(wire.leases[0].acquired == wire.last().at);
    CHECK(wire.client.lease() == wire.leases[0]);
    CHECK(wire.client.problem().empty());
    CHECK(address_in(wire.sent[1].message) == *IpAddress::parse("2001:db8:1::77"));
    CHECK(*wire.sent[1].message.option(dhcp6_option::server_id) == wire.servers[0].duid);
    CHECK(wire.sent[0].message.transaction != wire.sent[1].message.transaction);
}

// Where SLAAC gives the address and DHCP the resolvers.
TEST_CASE("a DHCPv6 client that wants information asks for nothing else") {
    Wire wire;
    wire.start(Dhcp6Wish::Information);
    CHECK(wire.types() == std::vector{Type::InformationRequest});
    CHECK(wire.sent[0].message.option(dhcp6_option::ia_na) == nullptr);
    REQUIRE(wire.leases.size() == 1);
    CHECK_FALSE(wire.leases[0].address.has_value());
    CHECK(wire.leases[0].resolvers == std::vector{*IpAddress::parse("2001:db8:1::53")});
    CHECK(wire.client.problem().empty());
    // Asked again when the network says so, and what is known stays known meanwhile.
    wire.servers[0].mood = Mood::Silent;
    wire.pass(86400s);
    CHECK(wire.sent.size() >= 2);
    CHECK(wire.client.lease().has_value());
    CHECK(wire.client.problem().empty());
}

// The real root's client would get another address, and the tunnel would lose its underlay.
TEST_CASE("the DUID and the IAID follow from the MAC") {
    Wire wire;
    wire.start();
    const Bytes duid{0, 3, 0, 1, 0x52, 0x54, 0, 0xa, 0xb, 0xc};
    for (const auto& each : wire.sent) {
        CHECK(*each.message.option(dhcp6_option::client_id) == duid);
        CHECK(ByteReader(*each.message.option(dhcp6_option::ia_na)).u32() == 0x000a0b0c);
    }
    CHECK(wire.leases[0].client_id == duid);
    CHECK(wire.leases[0].iaid == 0x000a0b0c);
}

TEST_CASE("a DHCPv6 server that commits rapidly is believed at once, and no other") {
    FakeDhcp6Server rapid;
    rapid.rapid_commit = true;
    Wire wire({rapid});
    wire.start();
    CHECK(wire.types() == std::vector{Type::Solicit});
    CHECK(wire.leases.size() == 1);

    Wire other({server(Mood::Silent)});
    other.start();
    other.deliver(FakeDhcp6Server{}.reply(other.last().message, Type::Reply));
    CHECK(other.leases.empty());
}

// A cold server must not cost a minute's back-off, a dead one must not be flooded.
TEST_CASE("an unanswered DHCPv6 client asks again after 1, 2, 4, 8, 8 seconds, give or take") {
    for (const Dhcp6Wish wish : {Dhcp6Wish::Information, Dhcp6Wish::Address}) {
        Wire wire({server(Mood::Silent)});
        wire.start(wish);
        CHECK(wire.sent.size() == 1);
        CHECK(wire.client.problem() == "no DHCPv6 answer, asked once");
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
        // Hundredths of a second since the first.
        CHECK(*wire.sent[0].message.option(dhcp6_option::elapsed_time) == Bytes{0, 0});
        CHECK(ByteReader(*wire.last().message.option(dhcp6_option::elapsed_time)).u16() > 28000);
        wire.servers[0].mood = Mood::Helpful;
        wire.pass(10s);
        CHECK(wire.leases.size() == 1);
    }
}

TEST_CASE("a server that never confirms is left after four requests") {
    Wire wire({server(Mood::OffersOnly)});
    wire.start();
    wire.pass(20s);
    CHECK(wire.types()[4] == Type::Request);
    CHECK(wire.types()[5] == Type::Solicit);
    CHECK(wire.client.problem() == "a DHCPv6 server does not confirm its offer");
}

// It would be asked as fast as it answers.
TEST_CASE("a server that offers and refuses by turns is not asked in a tight loop") {
    Wire wire({server(Mood::Refusing)});
    wire.start();
    wire.pass(1min);
    CHECK(wire.sent.size() < 30);
    CHECK(wire.client.problem() == "a DHCPv6 server refused: it has no address to give (not here)");
    wire.servers[0].mood = Mood::Helpful;
    wire.pass(10s);
    CHECK(wire.client.lease().has_value());
}

// The routers' own address may do: to withhold the resolvers would cost the boot one source.
TEST_CASE("a server without addresses still tells its resolvers, once") {
    Wire wire({server(Mood::NoAddresses)});
    wire.start();
    wire.pass(1min);
    REQUIRE(wire.leases.size() == 1);
    CHECK_FALSE(wire.leases[0].address.has_value());
    CHECK(wire.leases[0].resolvers == std::vector{*IpAddress::parse("2001:db8:1::53")});
    CHECK(wire.client.problem() ==
          "a DHCPv6 offer cannot be used: it has no address to give (not here)");
    wire.servers[0].mood = Mood::Helpful;
    wire.pass(10s);
    CHECK(wire.client.lease()->address.has_value());
}

TEST_CASE("what is not for this DHCPv6 exchange is ignored") {
    Wire wire({server(Mood::Silent)});
    wire.start();
    const FakeDhcp6Server helpful;
    const Dhcp6Message good = helpful.reply(wire.last().message, Type::Advertise);
    Dhcp6Message other_transaction = good;
    other_transaction.transaction ^= 1;
    Dhcp6Message other_client = good;
    other_client.options[0].second.back() ^= 1;
    Dhcp6Message nobodys = good;
    nobodys.options.erase(nobodys.options.begin());
    Dhcp6Message other_type = good;
    other_type.type = Type::Reconfigure;
    for (const Dhcp6Message& stray : {other_transaction, other_client, nobodys, other_type})
        wire.deliver(stray);
    CHECK(wire.sent.size() == 1);
    wire.deliver(good);
    CHECK(wire.last().message.type == Type::Request);
    // Another server's answer to the request, with the number guessed.
    FakeDhcp6Server other;
    other.duid.back() ^= 1;
    wire.deliver(other.reply(wire.last().message, Type::Reply));
    CHECK(wire.leases.empty());
}

// A boot that takes long would lose its address.
TEST_CASE("a DHCPv6 lease is renewed, then rebound, then given up") {
    Wire wire;
    wire.start();
    wire.pass(901s);
    CHECK(wire.last().message.type == Type::Renew);
    CHECK(*wire.last().message.option(dhcp6_option::server_id) == wire.servers[0].duid);
    CHECK(address_in(wire.last().message) == *IpAddress::parse("2001:db8:1::77"));
    REQUIRE(wire.leases.size() == 2);
    CHECK(wire.leases[1].acquired > wire.leases[0].acquired);

    wire.servers[0].mood = Mood::Silent;
    wire.pass(1441s);  // to T2
    CHECK(wire.last().message.type == Type::Rebind);
    CHECK(wire.last().message.option(dhcp6_option::server_id) == nullptr);
    CHECK(wire.losses.empty());
    CHECK(wire.sent.size() < 40);
    wire.pass(2160s);
    REQUIRE(wire.losses.size() == 1);
    CHECK(wire.losses[0].code == ErrorCode::Timeout);
    CHECK(wire.last().message.type == Type::Solicit);
    CHECK(address_in(wire.last().message) == *IpAddress::parse("2001:db8:1::77"));
    CHECK_FALSE(wire.client.problem().empty());
}

// Two hosts with one address talk to nobody.
TEST_CASE("a DHCPv6 renewal that is refused takes the address away at once") {
    Wire wire;
    wire.start();
    wire.servers[0].mood = Mood::Refusing;
    wire.pass(901s);
    REQUIRE(wire.losses.size() == 1);
    CHECK(wire.losses[0].code == ErrorCode::Refused);
    CHECK_FALSE(wire.client.lease().has_value());
}

// The second of two servers, or the first after it lost its memory: the node would go off the network.
TEST_CASE("while rebinding, a server that knows no such lease takes nothing away") {
    for (const std::uint16_t status : {2, 3}) {
        CAPTURE(status);
        Wire wire;
        wire.start();
        wire.servers[0].mood = Mood::Silent;
        wire.pass(1441s);  // to T2
        REQUIRE(wire.last().message.type == Type::Rebind);
        wire.servers[0].mood = Mood::Helpful;
        wire.servers[0].duid.back() = 9;
        wire.servers[0].options = {{dhcp6_option::status_code, dhcp6_status(status, "")}};
        wire.pass(1000s);
        CHECK(wire.losses.empty());
        CHECK(wire.client.lease().has_value());
        wire.servers[0].options.clear();
        wire.pass(1000s);
        CHECK(wire.leases.size() == 2);
        // One that says that it ends is believed.
        wire.servers[0].mood = Mood::Silent;
        wire.pass(1500s);
        REQUIRE(wire.last().message.type == Type::Rebind);
        wire.servers[0].mood = Mood::Helpful;
        wire.servers[0].preferred = wire.servers[0].lifetime = seconds{0};
        wire.pass(600s);
        REQUIRE(wire.losses.size() == 1);
        CHECK(wire.losses[0].code == ErrorCode::Refused);
    }
}

// A server that is short of memory for a moment would take the node off the network.
TEST_CASE("a DHCPv6 renewal that fails for another reason is tried again") {
    Wire wire;
    wire.start();
    wire.servers[0].options = {{dhcp6_option::status_code, dhcp6_status(1, "busy")}};
    wire.pass(1000s);
    CHECK(wire.losses.empty());
    wire.servers[0].options.clear();
    wire.pass(400s);
    CHECK(wire.leases.size() == 2);
}

// Two hosts with one address talk to nobody, and the server would give it to us again.
TEST_CASE("an address that is another host's is declined, and another is asked for") {
    Wire wire;
    CHECK(wire.client.decline(boot).empty());
    wire.start();
    const Dhcp6Lease lease = *wire.client.lease();
    wire.perform(wire.client.decline(wire.now));
    CHECK(wire.last().message.type == Type::Decline);
    CHECK(*wire.last().message.option(dhcp6_option::server_id) == wire.servers[0].duid);
    CHECK(address_in(wire.last().message) == lease.address);
    REQUIRE(wire.losses.size() == 1);
    CHECK(wire.losses[0].code == ErrorCode::Conflict);
    CHECK(wire.client.problem() == "2001:db8:1::77 is another host's already");
    CHECK_FALSE(wire.client.lease().has_value());
    // The answer to that is no answer to anything else.
    CHECK(wire.leases.size() == 1);
    wire.servers[0].gives = *IpAddress::parse("2001:db8:1::78");
    wire.pass(10s);
    CHECK(wire.sent.size() == 3);
    wire.pass(2s);
    CHECK(address_in(wire.sent[3].message) == std::nullopt);
    CHECK(wire.client.lease()->address == wire.servers[0].gives);
    CHECK_FALSE(wire.client.decline(wire.now).empty());
    CHECK(wire.client.decline(wire.now).empty());
}

// A host that answers for every address: the server would be emptied in a minute.
TEST_CASE("addresses are declined more and more slowly until one of them settles") {
    Wire wire;
    wire.start();
    const auto wait_after_decline = [&] {
        wire.perform(wire.client.decline(wire.now));
        const Instant begun = wire.now;
        const std::size_t before = wire.leases.size();
        while (wire.leases.size() == before) wire.pass(wire.client.deadline() - wire.now);
        return wire.now - begun;
    };
    const Duration first = wait_after_decline();
    CHECK(first >= 10s);
    wait_after_decline();
    wait_after_decline();
    CHECK(wait_after_decline() >= 16s);
    wire.client.settled();
    CHECK(wait_after_decline() < 12s);
}

TEST_CASE("an endless DHCPv6 lease is never renewed") {
    Wire wire;
    wire.servers[0].preferred = wire.servers[0].lifetime = endless_lease;
    wire.start();
    REQUIRE(wire.leases.size() == 1);
    CHECK(wire.client.deadline() == Instant::max());
}

TEST_CASE("started again, a DHCPv6 client asks for its old address and takes what it is given") {
    Wire wire;
    wire.start();
    wire.servers[0].gives = *IpAddress::parse("2001:db8:1::99");
    wire.start();
    CHECK(address_in(wire.sent[2].message) == *IpAddress::parse("2001:db8:1::77"));
    CHECK(wire.client.lease()->address == *IpAddress::parse("2001:db8:1::99"));
    CHECK(wire.losses.empty());
    wire.start(Dhcp6Wish::Information);
    CHECK_FALSE(wire.client.lease()->address.has_value());
}

// A rack that hears the same advertisement would ask in the same instant.
TEST_CASE("the first DHCPv6 question comes within a tenth of a second, and not in step") {
    const auto first = [](std::uint64_t seed) {
        SeededRandom random{seed};
        Dhcp6Client client{mac, random};
        client.start(Dhcp6Wish::Address, boot);
        CHECK(client.deadline() <= boot + 100ms);
        return client.deadline();
    };
    CHECK(first(1) != first(2));
}

// Whatever arrives, in whatever state: no crash, no storm, and an honest server still wins.
TEST_CASE("random replies neither break a DHCPv6 client nor keep it from an honest server") {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        CAPTURE(seed);
        SeededRandom dice{seed};
        Wire wire({server(Mood::Silent)});
        wire.start();
        for (int i = 0; i < 200; ++i) {
            FakeDhcp6Server stranger = server(static_cast<Mood>(dice.below(5)));
            if (dice.below(2)) stranger.duid.back() = 9;
            stranger.lifetime = seconds{dice.below(200)};
            stranger.preferred = seconds{dice.below(200)};
            Dhcp6Message reply =
                stranger.reply(wire.last().message, static_cast<Type>(1 + dice.below(11)));
            if (dice.below(3) == 0) reply.options.emplace_back(dhcp6_option::rapid_commit, Bytes{});
            if (dice.below(4) == 0) reply.options.resize(1);
            wire.deliver(reply);
            wire.pass(std::chrono::milliseconds{dice.below(5000)});
        }
        wire.servers[0].mood = Mood::Helpful;
        wire.pass(20min);
        CHECK(wire.client.lease().has_value());
        CHECK(wire.sent.size() < 1500);
    }
}

// Two VLANs of one card would have one address between them, or take it from each other.
TEST_CASE("VLANs of one card ask as one client for associations of their own") {
    const auto asked = [](std::uint16_t vlan) {
        SeededRandom random{1};
        Dhcp6Client client{mac, random, vlan};
        client.start(Dhcp6Wish::Address, boot);
        return *decode_dhcp6(client.tick(client.deadline()).send);
    };
    const auto card = asked(0), seven = asked(7), eight = asked(8);
    const auto association = [](const Dhcp6Message& message) {
        return ByteReader(*message.option(dhcp6_option::ia_na)).u32();
    };
    CHECK(association(card) == 0x000a0b0c);
    CHECK(association(seven) != association(card));
    CHECK(association(seven) != association(eight));
    CHECK(*seven.option(dhcp6_option::client_id) == *card.option(dhcp6_option::client_id));
}

// A server without addresses that asks for peace would be asked by the whole site every eight seconds.
TEST_CASE("a server's SOL_MAX_RT is obeyed") {
    Wire wire({server(Mood::NoAddresses)});
    std::uint32_t wanted = 0;
    double longest = 0;
    SUBCASE("as it is") { wanted = 120, longest = 120; }
    SUBCASE("but not when no server may say it") { wanted = 30, longest = 8; }
    wire.servers[0].options = {{dhcp6_option::solicit_max_rt, ByteWriter().u32(wanted).take()}};
    wire.start();
    wire.pass(30min);
    const double waited =
        milliseconds_of(wire.last().at - wire.sent[wire.sent.size() - 2].at) / 1000;
    CHECK(waited >= longest * 0.75);
    CHECK(waited <= longest * 1.25);
}
