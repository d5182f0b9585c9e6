// A hand-made world of single-node sites for tests of the simulator itself: who is behind which NAT, what
// each has configured, and time that goes by. No Mesh runs in it.
#pragma once

#include <initializer_list>
#include <map>
#include <utility>

#include "core/overlay.h"
#include "meshsim/routes.h"
#include "meshsim/wireguard.h"
#include "meshsim/world.h"

namespace fortros::meshsim {

// Node i alone behind `nats[i]`; all in one region.
inline World sites_of_one(std::initializer_list<mesh::Nat> nats, NodeId lighthouse = no_node) {
    World world;
    world.regions.resize(1);
    world.backbone_ms = {{0.0}};
    for (const mesh::Nat nat : nats) {
        const auto number = static_cast<NodeId>(world.nodes.size());
        Site site;
        site.nat = nat;
        site.access_ms = 5;
        site.first = number;
        site.count = 1;
        Node node;
        node.site = number;
        node.role = number == lighthouse ? Role::Lighthouse : Role::Node;
        node.port = static_cast<std::uint16_t>(20000 + number);
        node.key.bytes[0] = 1;
        node.key.bytes[24] = static_cast<std::uint8_t>(number);
        node.overlay = overlay_address(*OrgPrefix::parse("fd12:3456:789a::/48"), node.key);
        world.sites.push_back(site);
        world.nodes.push_back(node);
        world.regions[0].sites.push_back(number);
        if (number == lighthouse) world.lighthouses.push_back(number);
    }
    return world;
}

class SmallInternet {
public:
    explicit SmallInternet(World made)
        : world(std::move(made)),
          underlay(world, 1),
          wireguard(world, underlay, m_events),
          routes(world, wireguard) {
        for (NodeId node = 0; node < world.nodes.size(); ++node) underlay.set_alive(node, true);
    }

    // `node` has `peer`, at the endpoint where `witness` sees it.
    void configure(NodeId node, NodeId peer, NodeId witness, bool routed = true) {
        mesh::WantedOverlay& wanted = m_wanted[node];
        wanted.peers.push_back({.key = world.nodes[peer].key,
                                .address = world.nodes[peer].overlay,
                                .endpoint = underlay.seen_at(peer, witness),
                                .routed = routed});
        apply(node);
    }
    void configure_lighthouse(NodeId node, NodeId lighthouse) {
        mesh::WantedOverlay& wanted = m_wanted[node];
        wanted.lighthouses.push_back({.key = world.nodes[lighthouse].key,
                                      .address = world.nodes[lighthouse].overlay,
                                      .endpoint = underlay.seen_at(lighthouse, node)});
        apply(node);
        const NodeId members[] = {node};
        wireguard.serve(lighthouse, members);
    }
    bool send(NodeId from, NodeId to) {
        return wireguard.send(from, to, 100, Load::Message, now) == Sent::Carried;
    }
    // Both send each second.
    void talk(NodeId a, NodeId b, Duration time) {
        for (const Instant end = now + time; now < end;) {
            send(a, b);
            send(b, a);
            run(1s);
        }
    }
    void run(Duration time) {
        const Instant end = now + time;
        while (!m_events.empty() && m_events.next() <= end) {
            const Event event = m_events.pop();
            now = event.at;
            if (event.kind == EventKind::Initiation)
                wireguard.initiation_arrives(event.a, event.b, event.what, now);
            else if (event.kind == EventKind::Response)
                wireguard.response_arrives(event.a, event.b, event.what, now);
            else if (event.kind == EventKind::Retry)
                wireguard.retry(event.a, event.b, now);
        }
        now = end;
    }

    World world;
    Underlay underlay;

private:
    void apply(NodeId node) {
        wireguard.configure(node, m_wanted[node], now);
        routes.configure(node, m_wanted[node]);
    }

    EventQueue m_events{};
    std::map<NodeId, mesh::WantedOverlay> m_wanted{};

public:
    WireGuard wireguard;
    Routes routes;
    Instant now{};
};

}  // namespace fortros::meshsim
