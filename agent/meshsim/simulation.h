// A world in virtual time: every node's maintainer (the class Mesh, the same that runs on nodes), its
// kernel, the internet between them, and the apps that talk. It decides nothing by itself: boots, deaths
// and cuts come from outside, peers and routes from each node's Mesh.
//
// A maintainer has a round when its Mesh wants one, when a message comes, and each second while something
// that it has sent is not answered. Rounds in which it would see what it saw before are left out.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/random.h"
#include "mesh/members.h"
#include "mesh/mesh.h"
#include "meshsim/event_queue.h"
#include "meshsim/monitor.h"
#include "meshsim/routes.h"
#include "meshsim/underlay.h"
#include "meshsim/wireguard.h"
#include "meshsim/world.h"

namespace fortros::meshsim {

inline constexpr Duration observe_pause = 1s;  // a maintainer reads its kernel no more often

struct SimulationSpec {
    std::uint64_t seed = 1;
    Duration boot_spread = 20s;   // all boot within this
    Duration traffic_every = 1s;  // what the apps send is added up over it
    Duration beacon_every = 60s;
    unsigned false_hints_percent = 2;  // of beacon rounds of a node
};

class Simulation {
public:
    Simulation(const World& world, const SimulationSpec& spec);
    ~Simulation();
    Simulation(const Simulation&) = delete;
    Simulation& operator=(const Simulation&) = delete;

    // Everybody that is a member boots, within the spread.
    void boot_all();
    // Handles all events until then. `fault` is called for each that at() planned.
    void run_until(Instant end);
    Instant now() const { return m_now; }
    // Calls back at that time.
    void at(Instant when, std::function<void()> what);

    // --- what may happen to it ---
    void boot(NodeId node);
    void kill(NodeId node);
    // The maintainer alone: what the kernel has stays, and is adopted.
    void restart_maintainer(NodeId node);
    Underlay& underlay() { return m_underlay; }
    void set_traffic(bool on) { m_traffic_on = on; }
    void keep_outages() { m_outages_kept = true; }
    // Members: those that are not there yet come by join(). News reaches each within `spread`.
    void leave_out(const std::vector<NodeId>& nodes);
    void join(NodeId node, Duration spread);
    void revoke(NodeId node, Duration spread);
    // Nodes that are stale hear of everybody now.
    void end_staleness();

    // --- what is ---
    const World& world() const { return m_world; }
    const Underlay& underlay() const { return m_underlay; }
    const WireGuard& wireguard() const { return m_wireguard; }
    WireGuard& wireguard() { return m_wireguard; }
    const Routes& routes() const { return m_routes; }
    Monitor& monitor() { return m_monitor; }
    const Monitor& monitor() const { return m_monitor; }
    bool alive(NodeId node) const { return m_hosts[node] != nullptr; }
    bool is_member(NodeId node) const { return m_member[node] != 0; }
    // Of a live node.
    const mesh::Mesh& mesh(NodeId node) const;
    // Links to other nodes, lighthouses not counted, that both ends have configured.
    bool linked(NodeId a, NodeId b) const;
    // Each time that an app had to wait for answers, once it has them again: the flow's number, its first
    // packet without an answer, and the next with one.
    struct Outage {
        std::size_t flow = 0;
        Instant from{};
        Instant until{};
    };
    const std::vector<Outage>& outages() const { return m_outages; }
    // For how long a flow's app has had no answer; zero: it has one.
    Duration waiting(std::size_t flow) const {
        const Instant since = m_flows[flow].unanswered;
        return since == never ? Duration{} : m_now - since;
    }
    std::uint64_t events() const { return m_events.pushed(); }
    std::uint64_t rounds() const { return m_rounds; }
    std::uint64_t messages() const { return m_messages; }
    std::uint64_t messages_of(mesh::LinkVerb verb) const {
        return m_verbs[static_cast<std::size_t>(verb)];
    }

private:
    struct Host;
    struct Parcel {
        NodeId from = no_node;
        NodeId to = no_node;
        mesh::LinkMessage message{};
        std::uint32_t bytes = 0;
    };
    struct FlowState {
        Instant unanswered = never;
        Instant next = never;
    };

    void handle(const Event& event);
    void wake_at(NodeId node, Instant when);
    void wake(NodeId node, Instant planned);
    void round(NodeId node);
    void observe(NodeId node);
    void apply(NodeId node);
    void judge_change(NodeId node);
    void say(NodeId node, mesh::Outgoing outgoing);
    void carry(NodeId from, NodeId to, std::uint32_t parcel);
    void parcel_arrives(NodeId from, NodeId at, std::uint32_t parcel);
    void unstage(NodeId from, NodeId to);
    void drop_staged(NodeId from, NodeId to);
    void drop_all_staged(NodeId node);
    void beacon(SiteId site);
    void traffic();
    bool flow(const Flow& flow);
    bool transmit(NodeId from, NodeId to, std::uint32_t bytes);
    void news(NodeId node);
    void spread_news(Duration spread);
    std::uint32_t add_parcel(Parcel parcel);
    void free_parcel(std::uint32_t parcel);

    const World& m_world;
    SimulationSpec m_spec;
    SeededRandom m_random;
    Instant m_now{};
    EventQueue m_events;
    Underlay m_underlay;
    WireGuard m_wireguard;
    Routes m_routes;
    Monitor m_monitor;
    std::vector<std::unique_ptr<Host>> m_hosts;
    std::vector<std::uint8_t> m_member;
    std::shared_ptr<const mesh::Members> m_members;
    std::shared_ptr<const mesh::Members> m_old_members;
    bool m_stale = true;
    bool m_traffic_on = true;
    bool m_outages_kept = false;
    std::vector<FlowState> m_flows;
    std::vector<Outage> m_outages;
    std::vector<Parcel> m_parcels;
    std::vector<std::uint32_t> m_free_parcels;
    std::unordered_map<std::uint64_t, std::vector<std::uint32_t>> m_staged;
    std::deque<std::function<void()>> m_plans;  // a plan may make plans
    std::uint64_t m_rounds = 0;
    std::uint64_t m_messages = 0;
    std::uint64_t m_verbs[16] = {};
};

}  // namespace fortros::meshsim
