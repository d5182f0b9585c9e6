// WireGuard of all nodes, as the kernel does it: peers, endpoints that roam, handshakes that need both
// ends, sessions that end, counters. It decides nothing: a Mesh configures it, and its counters are what
// that Mesh sees. Times are the protocol's (https://www.wireguard.com/papers/wireguard.pdf, section 6.1).
//
//   no session ── packet ──▶ initiation ──▶ response ──▶ session
//        ▲  again each 5 s, 18 times             │ 120 s: its initiator renews it with the next packet
//        └──────────────────── 180 s ────────────┘  15 s without an answer: a new handshake is tried
//
// A node has a tunnel a peer. By which of its interfaces follows from the peer's role: every lighthouse
// has one of its own, all others share the direct one, so that a pair has one tunnel and no more.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/time.h"
#include "mesh/mesh.h"
#include "meshsim/event_queue.h"
#include "meshsim/underlay.h"
#include "meshsim/world.h"

namespace fortros::meshsim {

inline constexpr Duration rekey_after = 120s;
inline constexpr Duration reject_after = 180s;
inline constexpr Duration rekey_timeout = 5s;
inline constexpr Duration keepalive_timeout = 10s;
inline constexpr unsigned initiations_limit = 18;  // 90 s
inline constexpr std::size_t staged_limit = 8;  // packets that wait for a session (the kernel: 128)
inline constexpr Instant never = Instant{-std::chrono::hours{100'000}};  // before all

struct Tunnel {
    NodeId peer = no_node;
    NodeId leads_to = no_node;  // whom a packet to the endpoint meets; Underlay::at()
    Endpoint endpoint{};        // port 0: none
    std::uint32_t session = 0;  // the same number at both ends, 0: none
    std::uint16_t keepalive_s = 0;
    std::uint8_t attempts = 0;
    bool initiator = false;
    bool routed = false;  // the peer's /128 leads here
    bool is_news = true;  // to whoever has looked at the tunnel before
    std::uint64_t rx = 0;
    std::uint64_t tx = 0;
    Instant since = never;  // of the session
    Instant sent = never;
    Instant opened = never;  // a NAT before this end lets the peer in since
    Instant initiated = never;
    Instant unanswered = never;  // the first data sent since something was received
};

// What a node has sent and received, in bytes of IP packets on its uplink; apps' data is not counted.
struct Meter {
    struct Traffic {
        std::uint64_t handshakes = 0;
        std::uint64_t keepalives = 0;
        std::uint64_t messages = 0;
        std::uint64_t total() const { return handshakes + keepalives + messages; }
    };
    Traffic lan{};
    Traffic lighthouses{};
    Traffic scored{};
    std::uint64_t beacons = 0;
    std::uint64_t total() const {
        return lan.total() + lighthouses.total() + scored.total() + beacons;
    }
};

enum class Sent : std::uint8_t {
    Carried,  // it arrives
    Staged,   // there is no session; a handshake has begun
    Lost,
};
enum class Load : std::uint8_t { Data, Message, Keepalive };

class WireGuard {
public:
    WireGuard(const World& world, Underlay& underlay, EventQueue& events);

    // --- what a maintainer does ---
    void configure(NodeId node, const mesh::WantedOverlay& wanted, Instant now);
    // A lighthouse's peers: all members, wherever they may be.
    void serve(NodeId lighthouse, std::span<const NodeId> members);
    void forget(NodeId node, NodeId peer);
    // Power lost: nothing is left.
    void reset(NodeId node);
    // All that is configured stays, sessions and NAT mappings are gone.
    void lose_sessions(NodeId node);

    // --- what happens ---
    // A packet of `bytes` inside of the tunnel.
    Sent send(NodeId from, NodeId to, std::uint32_t bytes, Load load, Instant now);
    void keep_alive(NodeId node, Instant now);
    void initiation_arrives(NodeId from, NodeId at, std::uint32_t number, Instant now);
    // True where there is a session now.
    bool response_arrives(NodeId from, NodeId at, std::uint32_t number, Instant now);
    // True where the handshake is given up.
    bool retry(NodeId node, NodeId peer, Instant now);

    // --- what is ---
    const Tunnel* find(NodeId node, NodeId peer) const;
    std::span<const Tunnel> tunnels(NodeId node) const { return m_tunnels[node]; }
    // Calls back for each tunnel of which a look tells something that the look before has not told.
    template <typename Look>
    void look(NodeId node, const Look& at) {
        for (Tunnel& tunnel : m_tunnels[node])
            if (std::exchange(tunnel.is_news, false)) at(std::as_const(tunnel));
    }
    // Whoever looks next has seen nothing before.
    void forget_looks(NodeId node) {
        for (Tunnel& tunnel : m_tunnels[node]) tunnel.is_news = true;
    }
    // Whether a packet would arrive now, once a handshake that it needs is done.
    bool would_carry(NodeId from, NodeId to, Instant now) const;
    const Meter& meter(NodeId node) const { return m_meters[node]; }
    Meter& meter(NodeId node) { return m_meters[node]; }

private:
    Tunnel* changeable(NodeId node, NodeId peer);
    Tunnel& add(NodeId node, NodeId peer);
    void set_endpoint(NodeId node, Tunnel& tunnel, const Endpoint& endpoint);
    void learn(NodeId node, Tunnel& tunnel, Instant now);
    bool lets_in(NodeId node, NodeId from, Instant now) const;
    bool reaches(NodeId from, const Tunnel& tunnel, Instant now) const;
    void initiate(NodeId node, Tunnel& tunnel, Instant now);
    bool renew(NodeId node, Tunnel& tunnel, Instant now);
    void count(NodeId node, Tunnel& tunnel, std::uint32_t bytes, Load load, bool out);
    void count_handshake(NodeId node, Tunnel& tunnel, std::uint32_t bytes, bool out);

    Meter::Traffic& meter_of(NodeId node, NodeId peer);

    const World& m_world;
    Underlay& m_underlay;
    EventQueue& m_events;
    std::vector<std::vector<Tunnel>> m_tunnels;  // of each node, by peer
    std::vector<Meter> m_meters;
    std::uint32_t m_handshakes = 0;
};

}  // namespace fortros::meshsim
