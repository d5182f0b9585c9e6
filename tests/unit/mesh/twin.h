// A small world for whole meshes of Mesh objects in virtual time: nodes and lighthouses on a plane,
// with WireGuard's rule that both ends must have each other, NATs that let nobody in first, loss and
// death. It keeps no promise of fairness: datagrams of one instant go in the order of their making.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <vector>

#include "core/crypto.h"
#include "mesh/mesh.h"
#include "mesh/score.h"

namespace fortros::mesh {

inline PublicKey numbered_key(unsigned number) {
    ByteArray<4> bytes{static_cast<std::uint8_t>(number >> 24),
                       static_cast<std::uint8_t>(number >> 16),
                       static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)};
    return {crypto::sha256({as_bytes("node"), bytes})};
}

inline Member numbered_member(unsigned number, Role role = Role::Node) {
    Member member{.key = numbered_key(number), .address = {}, .role = role, .serial = 1};
    member.address = overlay_address(*OrgPrefix::parse("fd12:3456:789a::/48"), member.key);
    member.not_after = WallTime{std::chrono::hours{24 * 365 * 100}};
    member.hostname = "node-" + std::to_string(number);
    const auto high = static_cast<std::uint8_t>(number >> 8);
    const auto low = static_cast<std::uint8_t>(number);
    if (role != Role::Node) member.endpoints = {{IpAddress::v4({198, 51, high, low}), 51820}};
    return member;
}

class Twin {
public:
    struct Spot {
        double x = 0, y = 0;  // milliseconds of one way
        unsigned lan = 0;     // 0: none
        Nat nat = Nat::None;
        bool metered = false;
    };
    struct Wire {  // what a kernel has of one peer
        std::uint64_t rx = 0, tx = 0;
        std::optional<Endpoint> endpoint{};
        bool shaken = false;
    };
    struct Node {
        Member member;
        Spot spot;
        Endpoint underlay;
        std::unique_ptr<SeededRandom> dice;
        std::unique_ptr<Mesh> mesh;
        std::map<PublicKey, Wire> direct{}, lighthouses{};
        bool up = true;
        Instant due{};
    };

    explicit Twin(std::uint64_t seed, double loss = 0) : m_dice(seed), m_loss(loss) {}

    Members members;
    Instant now{10s};

    Node& add(unsigned number, Spot spot, Role role = Role::Node) {
        Member member = numbered_member(number, role);
        members.put(member);
        const auto high = static_cast<std::uint8_t>(number >> 8);
        const auto low = static_cast<std::uint8_t>(number);
        Endpoint underlay{IpAddress::v4({203, 0, high, low}), 51820};
        if (role != Role::Node) underlay = member.endpoints.front();
        Node node{.member = member, .spot = spot, .underlay = underlay};
        node.dice = std::make_unique<SeededRandom>(number + 77);
        Node& added = m_nodes.emplace(member.key, std::move(node)).first->second;
        m_by_endpoint[underlay] = member.key;
        return added;
    }
    // After all have been added: the meshes look at one set of members.
    void start() {
        for (auto& [key, node] : m_nodes) boot(node);
    }
    void boot(Node& node) {
        node.mesh = std::make_unique<Mesh>(Self{.key = node.member.key,
                                                .address = node.member.address,
                                                .role = node.member.role,
                                                .metered = node.spot.metered},
                                           members, *node.dice, now);
        node.up = true;
        node.direct.clear();
        node.lighthouses.clear();
        wake(node, now);
    }
    void kill(Node& node) { node.up = false; }

    Node& at(unsigned number) { return m_nodes.at(numbered_key(number)); }
    std::map<PublicKey, Node>& nodes() { return m_nodes; }

    // Until `end`; each node is looked at when it wants, and each second where something went by.
    void run(Duration time) {
        const Instant end = now + time;
        while (!m_events.empty() && m_events.top().when <= end) {
            Event event = std::move(const_cast<Event&>(m_events.top()));
            m_events.pop();
            now = std::max(now, event.when);
            Node& node = m_nodes.at(event.node);
            if (!node.up) continue;
            if (event.message) {
                deliver(node, event);
            } else if (event.when < node.due) {
                continue;
            }
            step(node);
        }
        now = end;
    }

    // A beacon on its link.
    void hear(Node& node, const LanHint& hint) {
        node.mesh->heard(hint, now);
        wake(node, now);
    }
    // Traffic on the overlay: a packet and its answer, by whatever way leads there.
    bool talk(Node& a, Node& b, std::uint64_t bytes = 1000) {
        const bool there = carry(a, b, bytes), back = carry(b, a, bytes);
        wake(a, now);
        wake(b, now);
        return there && back;
    }
    bool linked(const Node& a, const Node& b) const { return routed(a, b) && routed(b, a); }
    std::size_t links(const Node& node) const { return node.mesh->direct_links(); }
    std::uint64_t datagrams = 0, bytes = 0;
    std::set<std::pair<PublicKey, PublicKey>>
        cut{};  // underlay ways that are dead, either direction

private:
    struct Event {
        Instant when;
        std::uint64_t order = 0;
        PublicKey node;
        std::shared_ptr<LinkMessage> message{};
        PublicKey from{};
        Via via = Via::Overlay;
        bool operator<(const Event& other) const {
            return when != other.when ? when > other.when : order > other.order;
        }
    };

    static const WantedPeer* peer(const Node& node, const PublicKey& key) {
        const auto& peers = node.mesh->overlay().peers;
        const auto at = std::ranges::lower_bound(peers, key, {}, &WantedPeer::key);
        return at != peers.end() && at->key == key ? &*at : nullptr;
    }
    static bool routed(const Node& a, const Node& b) {
        const WantedPeer* wanted = peer(a, b.member.key);
        return wanted && wanted->routed;
    }

    Duration way(const Node& a, const Node& b) const {
        if (a.spot.lan != 0 && a.spot.lan == b.spot.lan) return 300us;
        const double far = std::hypot(a.spot.x - b.spot.x, a.spot.y - b.spot.y);
        return Duration(static_cast<long>(far * 1000) + 1000);
    }
    bool is_cut(const Node& a, const Node& b) const {
        return cut.contains({a.member.key, b.member.key}) ||
               cut.contains({b.member.key, a.member.key});
    }
    void wake(Node& node, Instant when) {
        node.due = when;
        push({.when = when, .node = node.member.key});
    }
    void push(Event event) {
        event.order = m_order++;
        m_events.push(std::move(event));
    }

    // A datagram in the tunnel between two neighbours in the underlay; false where it is lost.
    bool tunnel(Node& a, Node& b, std::uint64_t size) {
        const bool to_relay = b.member.relays(), from_relay = a.member.relays();
        Wire& out = (to_relay ? a.lighthouses : a.direct)[b.member.key];
        Wire& in = (from_relay ? b.lighthouses : b.direct)[a.member.key];
        const WantedPeer* mine = to_relay ? nullptr : peer(a, b.member.key);
        if (!a.up || (!to_relay && !mine)) return false;
        std::optional<Endpoint> to = out.endpoint;
        if (mine && mine->endpoint && !(out.shaken && out.endpoint == mine->endpoint))
            to = mine->endpoint;
        if (to_relay) to = b.underlay;
        if (!to) return false;
        if (mine && mine->endpoint && to != out.endpoint) out.endpoint = to;
        out.tx += size;
        datagrams++;
        bytes += size;
        const auto there = m_by_endpoint.find(*to);
        if (there == m_by_endpoint.end() || there->second != b.member.key) return false;
        if (!b.up || is_cut(a, b) || m_dice.unit() < m_loss) return false;
        if (!from_relay && !to_relay && !peer(b, a.member.key)) return false;
        if (from_relay && !in.shaken) return false;  // it does not know where we are
        // Both behind port-restricted or worse NATs: no way but on one link.
        const bool one_lan = a.spot.lan != 0 && a.spot.lan == b.spot.lan;
        if (!to_relay && !from_relay && !one_lan && !may_meet(a.spot.nat, b.spot.nat)) return false;
        if (!in.endpoint || !from_relay) in.endpoint = a.underlay;
        out.shaken = in.shaken = true;
        out.endpoint = b.underlay;
        in.rx += size;
        if (b.member.relays()) b.direct[a.member.key].endpoint = a.underlay;
        return true;
    }

    // By the overlay's routes; what it came by at the other end.
    std::optional<std::pair<Via, Duration>> travel(Node& a, Node& b, bool may_direct,
                                                   std::uint64_t size) {
        if (b.member.relays())
            return tunnel(a, b, size) ? std::optional(std::pair(Via::Direct, way(a, b)))
                                      : std::nullopt;
        if (a.member.relays())
            return tunnel(a, b, size) ? std::optional(std::pair(Via::Lighthouse, way(a, b)))
                                      : std::nullopt;
        if (may_direct && routed(a, b)) {
            if (!tunnel(a, b, size)) return std::nullopt;
            return std::pair(Via::Direct, way(a, b));
        }
        const auto& lighthouses = a.mesh->overlay().lighthouses;
        if (lighthouses.empty()) return std::nullopt;
        Node& relay = m_nodes.at(lighthouses.front().key);
        if (!tunnel(a, relay, size) || !routed(relay, b) || !tunnel(relay, b, size))
            return std::nullopt;
        return std::pair(Via::Relay, way(a, relay) + way(relay, b));
    }
    bool carry(Node& a, Node& b, std::uint64_t size) {
        if (!routed(a, b)) m_demand[a.member.key][b.member.address] += size;
        return travel(a, b, true, size).has_value();
    }

    void observe(Node& node) {
        Observation seen;
        seen.underlay = {node.underlay.address};
        if (node.spot.nat != Nat::None) seen.underlay = {IpAddress::v4({10, 0, 0, 1})};
        seen.direct_port = node.underlay.port;
        std::erase_if(node.direct, [&](const auto& wire) {
            return !node.member.relays() && !peer(node, wire.first);
        });
        for (const auto& [key, wire] : node.direct)
            seen.direct.push_back({key, wire.rx, wire.tx,
                                   wire.shaken ? std::optional<Duration>(1s) : std::nullopt,
                                   wire.endpoint});
        for (const auto& [key, wire] : node.lighthouses)
            seen.lighthouses.push_back({key, wire.rx, wire.tx, Duration(1s), wire.endpoint});
        for (const auto& [address, size] : m_demand[node.member.key])
            seen.demand.push_back({address, size});
        m_demand.erase(node.member.key);
        node.mesh->observed(seen, now);
    }

    void deliver(Node& node, const Event& event) {
        node.mesh->received(event.from, event.via, *event.message, now);
    }

    void step(Node& node) {
        observe(node);
        std::vector<Outgoing> out = node.mesh->step(now);
        for (Outgoing& one : out) {
            const auto to = m_nodes.find(one.to);
            if (to == m_nodes.end()) continue;
            Node& other = to->second;
            const std::uint64_t size = encode(one.message).size() + 140;
            std::optional<std::pair<Via, Duration>> way_there;
            if (one.via == Via::Direct || one.via == Via::Lighthouse) {
                if (tunnel(node, other, size))
                    way_there = std::pair(node.member.relays() ? Via::Lighthouse : Via::Direct,
                                          way(node, other));
            } else {
                way_there = travel(node, other, one.via == Via::Overlay, size);
            }
            if (!way_there) continue;
            push({.when = now + way_there->second,
                  .node = one.to,
                  .message = std::make_shared<LinkMessage>(std::move(one.message)),
                  .from = node.member.key,
                  .via = way_there->first});
        }
        observe(node);
        // A maintainer looks each second; where nothing is wrong that changes nothing, so less will do.
        wake(node, std::max(now + 10ms, std::min(node.mesh->next_step(), now + 30s)));
        if (!out.empty()) push({.when = now + 1s, .node = node.member.key, .message = {}});
        if (!out.empty()) node.due = std::min(node.due, now + 1s);
    }

    SeededRandom m_dice;
    double m_loss;
    std::uint64_t m_order = 0;
    std::map<PublicKey, Node> m_nodes{};
    std::map<Endpoint, PublicKey> m_by_endpoint{};
    std::map<PublicKey, std::map<IpAddress, std::uint64_t>> m_demand{};
    std::priority_queue<Event> m_events{};
};

}  // namespace fortros::mesh
