// The network around a booting node, in memory: links that come and go, resolvers that answer, lie
// or are silent, hosts that are gateways or somebody else. It says who can be seen from the node at
// a moment, and nothing else: it holds no connection and no clock.
#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/address.h"
#include "core/handoff.h"
#include "core/key.h"
#include "fakes/timeline.h"

namespace fortros::fakes {

// What a host does when somebody connects to its HTTPS port.
enum class Host {
    // the org's, with the keys of a gateway
    Gateway,
    Busy,          // 503, with its Retry-After
    Pending,       // 202: an administrator has to approve first
    Refuses,       // knows neither node nor invite, as after an old backup
    Revokes,       // 403
    NeverAnswers,  // authenticates, takes the request and says nothing
    Breaks,        // authenticates, takes the request and closes
    Proxy,         // authenticates, and answers what no gateway has proved
    // somebody else
    Thief,          // has a gateway's TLS key, and not its WireGuard key
    Rogue,          // a certificate of another CA: TLS says that it is untrusted
    StallingRogue,  // takes the connection, and says nothing
    // nobody
    Silent,
    Refusing,
};

std::string_view name_of(Host host);
// Whether TLS ends well: what comes after it is another question.
bool authenticates(Host host);

struct FakeHost {
    FakeHost() = default;
    // NOLINTNEXTLINE(google-explicit-constructor): most hosts are the same all the time.
    FakeHost(Host always) : is(always) {}

    Timeline<Host> is = Host::Silent;
    std::optional<Duration> round_trip{};  // absent: the world's
    std::uint32_t retry_after = 0;         // seconds; of Busy and Pending
};

struct DnsAnswer {
    enum class Kind { Silent, Addresses, NoSuchName, Fails };
    Kind kind = Kind::Silent;
    std::vector<Endpoint> endpoints{};
};

struct FakeResolver {
    FakeResolver() = default;
    // No address: there is no such name. Everybody listens on port 443.
    FakeResolver(std::initializer_list<IpAddress> addresses);

    Timeline<DnsAnswer> says;
    std::optional<Duration> delay{};  // absent: the world's round trip
};

// What becomes of packets that leave by a link.
enum class Route { None, Blackhole, Works };

struct LinkPhase {
    bool up = false;      // and configured: usable by the node
    bool portal = false;  // whoever is asked or called, a captive portal answers
    Route v4 = Route::Works;
    Route v6 = Route::None;
    std::vector<IpAddress> resolvers{};
};

struct FakeLink {
    // But for what changes: resolvers, routers, and addresses without a route.
    UplinkHandOff report{};
    Timeline<LinkPhase> is;

    UplinkHandOff report_at(Instant moment) const;
};

// Whose WireGuard listens at an endpoint, and when it answers handshakes.
struct FakeWireGuard {
    PublicKey key;
    Timeline<bool> answers = true;
};

struct FakeNetwork {
    std::vector<FakeLink> links;  // packets leave by the first one that is up and has a route
    unsigned preferred = 0;       // by this one before all others; 0: none
    std::map<IpAddress, FakeResolver> resolvers;   // absent: silent
    std::map<Endpoint, FakeHost> hosts;            // absent: silent
    std::map<Endpoint, FakeWireGuard> wireguards;  // absent: silent
    Endpoint portal = *Endpoint::parse("192.0.2.254:443");

    // By `ifindex` only, unless it is 0. Null: there is no route for the family.
    const FakeLink* way_out(Family family, unsigned ifindex, Instant now) const;
    // Whom the node meets there. Absent: there is no route, which the kernel says at once.
    std::optional<Host> seen(const Endpoint& endpoint, unsigned ifindex, Instant now) const;
    // Whether a handshake with this peer succeeds there.
    bool answers_handshake(const Endpoint& endpoint, const PublicKey& peer, unsigned ifindex,
                           Instant now) const;
    // `ifindex` not 0: asked by this link, where its own resolvers are.
    DnsAnswer heard(const IpAddress& resolver, unsigned ifindex, Instant now) const;
};

}  // namespace fortros::fakes
