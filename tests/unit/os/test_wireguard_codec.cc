#include "os/wireguard_codec.h"

#include <doctest/doctest.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>

#include <algorithm>
#include <map>

using namespace fortros;

static constexpr std::uint16_t family = 30;

static PublicKey key(std::uint32_t number) {
    PublicKey key;
    std::memcpy(key.bytes.data(), &number, sizeof(number));
    key.bytes[31] = 1;
    return key;
}

static WireGuardPeer peer(std::uint32_t number, std::size_t allowed_ips) {
    WireGuardPeer peer{.key = key(number),
                       .endpoint = number % 2 ? Endpoint::parse("192.0.2.1:51820")
                                              : Endpoint::parse("[2001:db8::1]:51821"),
                       .keepalive_seconds = 25};
    for (std::size_t i = 0; i < allowed_ips; ++i) {
        ByteArray<16> bytes{0xfd, 0x12};
        bytes[12] = static_cast<std::uint8_t>(number >> 8);
        bytes[13] = static_cast<std::uint8_t>(number);
        bytes[14] = static_cast<std::uint8_t>(i >> 8);
        bytes[15] = static_cast<std::uint8_t>(i);
        peer.allowed_ips.push_back(IpNetwork::host(IpAddress::v6(bytes)));
    }
    return peer;
}

static WireGuardChange add(WireGuardPeer peer) {
    return {.kind = WireGuardChange::Kind::Add,
            .peer = std::move(peer),
            .replace_allowed_ips = true,
            .set_endpoint = true,
            .set_keepalive = true};
}

struct Sent {
    std::vector<Bytes> messages;
    Status status;
};

static Sent write(const std::vector<WireGuardChange>& changes, std::size_t capacity) {
    Sent sent;
    sent.status = write_wireguard_changes(
        family, "fortros0", changes, capacity, [&](NetlinkMessage& message) -> Status {
            CHECK(message.size() <= capacity);
            CHECK_FALSE(message.overflowed());
            sent.messages.emplace_back(message.view().begin(), message.view().end());
            return {};
        });
    return sent;
}

static const nlmsghdr& header_of(const Bytes& message) {
    return *reinterpret_cast<const nlmsghdr*>(message.data());
}

// Every chunk of every peer in all messages: its key, flags and number of allowed IPs.
struct Chunk {
    PublicKey key;
    std::uint32_t flags = 0;
    std::size_t allowed_ips = 0;
    bool has_endpoint = false;
};

static std::vector<Chunk> chunks(const Sent& sent) {
    std::vector<Chunk> out;
    for (const Bytes& message : sent.messages) {
        const auto attributes = NetlinkAttributes::of<genlmsghdr>(header_of(message));
        CHECK(attributes.find(WGDEVICE_A_IFNAME)->text() == "fortros0");
        CHECK_FALSE(attributes.find(WGDEVICE_A_FLAGS));  // WGDEVICE_F_REPLACE_PEERS blinks
        for (const NetlinkAttribute item : NetlinkAttributes(*attributes.find(WGDEVICE_A_PEERS))) {
            const NetlinkAttributes peer(item);
            Chunk chunk;
            std::ranges::copy(peer.find(WGPEER_A_PUBLIC_KEY)->payload(), chunk.key.bytes.begin());
            chunk.flags = peer.find(WGPEER_A_FLAGS)->u32().value();
            chunk.has_endpoint = peer.find(WGPEER_A_ENDPOINT).has_value();
            if (const auto nest = peer.find(WGPEER_A_ALLOWEDIPS))
                for ([[maybe_unused]] const auto ip : NetlinkAttributes(*nest)) ++chunk.allowed_ips;
            out.push_back(chunk);
        }
    }
    return out;
}

// What the kernel would report when it was told `sent`: the attributes of both ways are the same.
static WireGuardStatus read_back(const Sent& sent) {
    WireGuardStatus status;
    for (const Bytes& message : sent.messages)
        REQUIRE(read_wireguard_device(status, header_of(message)));
    return status;
}

// A gateway could not tell the kernel of its nodes, or what the kernel tells would be misread.
TEST_CASE("peers survive being written and read") {
    auto v4 = peer(1, 2);
    v4.allowed_ips.push_back(*IpNetwork::parse("10.0.0.0/8"));
    auto bare = peer(2, 0);
    bare.endpoint = std::nullopt;
    const auto status = read_back(write({add(v4), add(bare), add(peer(4, 1))}, 8192));
    CHECK(status.name == "fortros0");
    REQUIRE(status.peers.size() == 3);
    CHECK(status.peers[0].peer == v4);
    CHECK(status.peers[1].peer == bare);
    CHECK(status.peers[2].peer == peer(4, 1));
    CHECK_FALSE(status.peers[0].last_handshake);
}

// Of a large org only the first few nodes would have a tunnel.
TEST_CASE("a thousand peers are split over messages and none is lost") {
    std::vector<WireGuardChange> changes;
    for (std::uint32_t n = 0; n < 1000; ++n) changes.push_back(add(peer(n, n % 5)));
    for (const std::size_t capacity : {512UL, 1000UL, 8192UL, 32768UL}) {
        const Sent sent = write(changes, capacity);
        REQUIRE(sent.status);
        CHECK(sent.messages.size() > 1);
        const auto status = read_back(sent);
        REQUIRE(status.peers.size() == changes.size());
        for (std::uint32_t n = 0; n < 1000; ++n) CHECK(status.peers[n].peer == peer(n, n % 5));
    }
}

// The second chunk would throw away the allowed IPs of the first, or bring back a removed peer.
TEST_CASE("a peer is replaced by its first chunk and only added to by the others") {
    const Sent sent = write({add(peer(1, 300)), add(peer(2, 1))}, 2048);
    REQUIRE(sent.status);
    const auto status = read_back(sent);
    REQUIRE(status.peers.size() == 2);
    CHECK(status.peers[0].peer == peer(1, 300));
    std::size_t count = 0;
    for (const Chunk& chunk : chunks(sent)) {
        if (chunk.key != key(1)) continue;
        const bool first = count++ == 0;
        CHECK(chunk.flags == (first ? WGPEER_F_REPLACE_ALLOWEDIPS : WGPEER_F_UPDATE_ONLY));
        CHECK(chunk.has_endpoint == first);
        CHECK(chunk.allowed_ips > 0);
    }
    CHECK(count > 2);
}

// An update would resurrect a peer that was revoked meanwhile; a removal would add it.
TEST_CASE("updates never add a peer, and removals carry the key alone") {
    WireGuardChange update{.kind = WireGuardChange::Kind::Update, .peer = peer(1, 0)};
    update.set_keepalive = true;
    WireGuardChange remove{.kind = WireGuardChange::Kind::Remove, .peer = peer(2, 3)};
    remove.set_endpoint = true;
    const auto found = chunks(write({update, remove}, 8192));
    REQUIRE(found.size() == 2);
    CHECK(found[0].flags == WGPEER_F_UPDATE_ONLY);
    CHECK_FALSE(found[0].has_endpoint);
    CHECK(found[1].flags == WGPEER_F_REMOVE_ME);
    CHECK_FALSE(found[1].has_endpoint);
    CHECK(found[1].allowed_ips == 0);
}

// The kernel would be asked for nothing, each time that nothing changes.
TEST_CASE("no change is no message") { CHECK(write({}, 8192).messages.empty()); }

// The rest of the changes would be sent after the kernel has refused some.
TEST_CASE("a message that cannot be sent ends the writing") {
    int sent = 0;
    const std::vector changes(100, add(peer(1, 1)));
    const auto status =
        write_wireguard_changes(family, "fortros0", changes, 1024, [&](NetlinkMessage&) -> Status {
            ++sent;
            return fail(ErrorCode::PermissionDenied, "no");
        });
    CHECK_FALSE(status);
    CHECK(sent == 1);
    CHECK_FALSE(write({add(peer(1, 1))}, 100).status);
}

// A peer whose allowed IPs fill more than one message would show up twice, or lose some.
TEST_CASE("a peer that goes on in the next message of a dump is one peer") {
    const auto status = read_back(write({add(peer(1, 500)), add(peer(2, 500))}, 4096));
    REQUIRE(status.peers.size() == 2);
    CHECK(status.peers[0].peer.allowed_ips.size() == 500);
    CHECK(status.peers[1].peer.allowed_ips.size() == 500);
}

static const nlmsghdr& header_of(const NetlinkMessage& message) {
    return *reinterpret_cast<const nlmsghdr*>(message.view().data());
}

// A node could not tell whether its gateway has answered.
TEST_CASE("handshake, counters, port and keys are read") {
    auto message = wireguard_message(family, WG_CMD_GET_DEVICE, "fortros0");
    ByteArray<key_size> secret{};
    secret.fill(7);
    message.u32(WGDEVICE_A_IFINDEX, 5).u16(WGDEVICE_A_LISTEN_PORT, 51820);
    message.bytes(WGDEVICE_A_PRIVATE_KEY, secret).bytes(WGDEVICE_A_PUBLIC_KEY, key(9).bytes);
    message.nest(WGDEVICE_A_PEERS, [&] {
        for (const std::int64_t seconds : {std::int64_t{0}, std::int64_t{1'700'000'000}}) {
            const std::int64_t time[] = {seconds, 5};
            message.nest(0, [&] {
                message.bytes(WGPEER_A_PUBLIC_KEY, key(static_cast<std::uint32_t>(seconds)).bytes)
                    .bytes(WGPEER_A_LAST_HANDSHAKE_TIME,
                           {reinterpret_cast<const std::uint8_t*>(time), sizeof(time)})
                    .u64(WGPEER_A_RX_BYTES, 11)
                    .u64(WGPEER_A_TX_BYTES, 22);
            });
        }
    });
    WireGuardStatus status;
    REQUIRE(read_wireguard_device(status, header_of(message)));
    CHECK(status.ifindex == 5);
    CHECK(status.listen_port == 51820);
    CHECK(status.public_key == key(9));
    REQUIRE(status.peers.size() == 2);
    CHECK_FALSE(status.peers[0].last_handshake);
    CHECK(status.peers[1].last_handshake == WallTime{std::chrono::seconds{1'700'000'000}});
    CHECK(status.peers[1].rx_bytes == 11);
    CHECK(status.peers[1].tx_bytes == 22);
    const auto read = read_wireguard_private_key(header_of(message));
    REQUIRE(read);
    CHECK(std::ranges::equal(read->view(), secret));
}

// A peer that somebody set by hand with a key that we refuse could never be removed.
TEST_CASE("a peer is seen even if its key is one that we would refuse") {
    PublicKey odd;
    odd.bytes.fill(0xff);
    auto strange = peer(1, 1);
    strange.key = odd;
    const auto status = read_back(write({add(strange)}, 8192));
    REQUIRE(status.peers.size() == 1);
    CHECK(status.peers[0].peer.key == odd);
}

// A kernel that speaks otherwise than we know would be believed.
TEST_CASE("a peer without a key is refused") {
    auto message = wireguard_message(family, WG_CMD_GET_DEVICE, "fortros0");
    message.nest(WGDEVICE_A_PEERS, [&] { message.nest(0, [&] { message.u64(1234, 1); }); });
    WireGuardStatus status;
    const auto read = read_wireguard_device(status, header_of(message));
    REQUIRE_FALSE(read);
    CHECK(read.error().code == ErrorCode::InvalidData);
}
