// The world around a booting node, in memory and in virtual time: its network, an org's gateways,
// the stores, the kernel. It performs what a Boot asks for and tells it what happened, in the order
// of a clock that only the world moves.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fakes/network.h"
#include "fakes/org.h"
#include "fakes/tunnels.h"
#include "preboot/boot.h"

namespace fortros::fakes {

// After this a handshake that nobody has answered is tried again, as the kernel does.
inline constexpr Duration handshake_retry = 5s;

struct BootWorld : FakeNetwork {
    explicit BootWorld(std::uint64_t seed = 1, FakeSigner signer = FakeSigner());

    SeededRandom random;
    FakeOrg org;
    FakeVerifier verifier;

    // The network, beside what FakeNetwork says. Where no `links` are given, `link` is the only one.
    std::optional<UplinkHandOff> link;  // works from link_delay on; absent: no link ever works
    Duration link_delay = 100ms;
    std::string link_trouble = "eth0: no carrier";
    Duration round_trip = 10ms;
    bool gateway_answers_handshake = true;  // where no `wireguards` are given
    Duration handshake_takes = 10ms;
    bool handshake_follows_routes = false;  // no answer where they end in a black hole

    // The node.
    Settings settings;
    std::optional<NodeState> stored_state;
    std::optional<PrivateKey> stored_key;
    std::string invite = "an-invite-of-the-test";
    WallTime wall{std::chrono::seconds{1'800'000'000}};
    bool clock_trusted = true;
    std::chrono::seconds clock_ahead{0};  // of the true time, which is the gateway's
    std::optional<Error> state_store_error{};
    std::optional<Error> key_store_error{};
    std::optional<Error> overlay_error{};
    std::optional<Error> handoff_error{};

    // One boot from start to Finish. Time goes on from boot to boot, as it does.
    ExitStatus boot();

    // What the last boot did.
    std::vector<std::string> log;
    std::vector<std::pair<Instant, LogEntry>> entries;  // the same, and what is for programs only
    std::vector<Source> sources_asked;                  // look-ups, in order
    std::vector<Discovery::Lookup> lookups;
    std::set<Endpoint> named;  // by resolvers that the node has heard
    std::vector<Endpoint> connected;
    std::vector<unsigned> preferred_links;  // in order
    std::size_t bound = 0;  // connections and look-ups that were bound to a link by choice
    std::size_t most_lookups = 0, most_connections = 0;  // at once
    struct Request {
        Instant at;
        Endpoint endpoint;
        Host host;
    };
    std::vector<Request> requests;
    struct Told {  // 202 or 503, with Retry-After
        Instant at;
        Endpoint endpoint;
        Host host;
        Duration retry_after;
        std::size_t connections;  // begun until then
    };
    std::vector<Told> told_to_wait;
    std::vector<std::string> order;  // names of actions, in order
    std::optional<OverlayPlan> applied;
    std::optional<OverlayPlan> applied_from_memory;
    std::optional<PublicKey> renewed;  // the peer whose session was begun anew
    NodeTunnels tunnels;
    std::optional<HandOff> handed_off;
    std::optional<WallTime> clock_set;
    std::optional<WallTime>
        newest_handshake;  // that the gateway has seen, and nothing older counts
    bool taken_down = false;
    Duration took{};

    bool logged(std::string_view part) const;
    // Told every line of the boot's log and everything that happens in the network, as it happens.
    std::function<void(const std::string& line)> witness{};
    Now now{};

private:
    using Event = std::optional<BootEvent>;  // nothing: only the world has changed
    struct Connection {
        Endpoint endpoint;
        unsigned ifindex = 0;  // bound to this link
        Host host{};           // at the other end, once it has authenticated
        Exporter exporter{};
        std::string request{};
    };
    struct Scheduled {
        std::optional<Discovery::Id> id;  // dropped when this id is cancelled
        std::function<Event()> event;
    };

    void perform(BootAction action);
    void perform_network(BootAction& action);
    void perform_local(BootAction& action);
    void apply_overlay(ApplyOverlay& apply);
    void initiate(const PublicKey& peer, unsigned watch);
    Event end_handshake(const PublicKey& peer, unsigned watch, unsigned renewals);
    bool is_answered_by(const PublicKey& peer) const;
    void bring_up_links();
    void ask(const Discovery::Lookup& lookup, Duration again);
    void knock(Discovery::Id id, Duration again);
    Event shake_hands(Discovery::Id id);
    Event answer(Discovery::Id id, Duration again);
    HttpAnswer answer_of(Host host, const Connection& connection);
    void tell_link(Discovery::Id id, const IpAddress& address, unsigned ifindex);
    bool routes_carry_wireguard() const;
    Duration round_trip_of(const Endpoint& endpoint) const;
    Event fails(Discovery::Id id, ErrorCode code, std::string why);
    void drop(Discovery::Id id);
    Now node_now() const { return {now.instant, now.wall + clock_ahead}; }
    void after(Duration delay, std::optional<Discovery::Id> id, std::function<Event()> event);
    void at_once(Duration cost, BootEvent event);
    void move_clock(Instant to);
    void tell(const std::string& line) const;

    std::multimap<Instant, Scheduled> m_queue;
    std::deque<BootEvent> m_at_once;  // of calls that the node waits for: no time-out comes between
    std::map<Discovery::Id, Connection> m_connections;
    std::set<Discovery::Id> m_lookups;
    PublicKey m_node{};                       // whose overlay is up
    std::map<PublicKey, unsigned> m_watches;  // for handshakes: the newest of each peer
    std::map<PublicKey, unsigned> m_renewals;
    bool m_simple_link = false;  // `links` is made of `link`
    unsigned m_forgeries = 0;
    std::optional<ExitStatus> m_finished;
};

}  // namespace fortros::fakes
