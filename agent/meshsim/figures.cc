#include "meshsim/figures.h"

#include <algorithm>
#include <cmath>

#include "meshsim/checks.h"
#include "meshsim/drawing.h"
#include "meshsim/quality.h"

namespace fortros::meshsim {

namespace {

constexpr unsigned stretch_sources = 120;
constexpr unsigned stretch_targets = 250;
constexpr unsigned reach_pairs = 20'000;
constexpr unsigned dead_percent = 30;
constexpr Duration dead_link_pause = 5s;  // from one death to the next
constexpr Duration dead_link_time = 4min;
constexpr std::size_t dead_links_limit = 24;

std::int64_t milli(double value) { return std::llround(value * 1000); }

Json percentiles(const Distribution& values) {
    Json json;
    json.set("count", static_cast<std::int64_t>(values.size()));
    json.set("mean_milli", milli(values.mean()));
    json.set("p50_milli", milli(values.percentile(50)));
    json.set("p90_milli", milli(values.percentile(90)));
    json.set("p99_milli", milli(values.percentile(99)));
    json.set("max_milli", milli(values.percentile(100)));
    return json;
}

Json stretch_json(const Stretch& stretch) {
    Json json;
    json.set("mesh", percentiles(stretch.mesh));
    json.set("mesh_by_traffic", percentiles(stretch.mesh_by_traffic));
    json.set("random", percentiles(stretch.random_graph));
    json.set("ring", percentiles(stretch.ring));
    json.set("answered_milli", milli(stretch.answered));
    return json;
}

Json degrees_json(const Degrees& degrees) {
    Json json;
    json.set("scored", percentiles(degrees.scored));
    json.set("lan", percentiles(degrees.lan));
    json.set("lighthouses", percentiles(degrees.lighthouses));
    return json;
}

// In millionths: 99.9 % is to be told from 99.99 %.
std::int64_t ppm(double share) { return std::llround(share * 1e6); }

Json whole_json(const Simulation& simulation) {
    const Reach reach = measure_reach(simulation, reach_pairs);
    const auto alive = alive_of(simulation);
    auto with_lighthouses = alive;
    for (const NodeId node : simulation.world().lighthouses)
        with_lighthouses[node] = simulation.alive(node) ? 1 : 0;
    Json json;
    json.set("by_routes_ppm", ppm(reach.by_routes));
    json.set("by_tunnels_ppm", ppm(reach.by_tunnels));
    json.set("tunnels_ppm",
             ppm(graph_of(simulation, Relays::With).largest_component(with_lighthouses)));
    json.set("direct_ppm", ppm(graph_of(simulation, Relays::Without).largest_component(alive)));
    return json;
}

void let_die(Simulation& simulation) {
    SeededRandom random(simulation.world().spec.seed ^ 0xdead);
    const auto& lighthouses = simulation.world().lighthouses;
    const auto doomed = static_cast<std::size_t>(
        std::llround(static_cast<double>(lighthouses.size()) * dead_percent / 100));
    const std::size_t first = random.below(lighthouses.size());
    for (std::size_t i = 0; i < doomed; ++i)
        simulation.kill(lighthouses[(first + i) % lighthouses.size()]);
    for (NodeId node = 0; node < simulation.world().nodes.size(); ++node)
        if (!simulation.world().relays(node) && random.below(100) < dead_percent)
            simulation.kill(node);
}

Json cost_json(const Simulation& simulation) {
    Json json;
    json.set("events", static_cast<std::int64_t>(simulation.events()));
    json.set("rounds", static_cast<std::int64_t>(simulation.rounds()));
    json.set("messages", static_cast<std::int64_t>(simulation.messages()));
    json.set("link_changes", static_cast<std::int64_t>(simulation.monitor().changes()));
    return json;
}

Json problems_json(const std::vector<std::string>& problems) {
    Json json = Json::Array{};
    for (std::size_t i = 0; i < problems.size() && i < problems_limit; ++i) json.push(problems[i]);
    return json;
}

Duration random_time(Random& random, Duration limit) {
    return Duration{
        static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(limit.count())))};
}

}  // namespace

Json facts_of(const World& world) {
    std::int64_t by_nat[4] = {};
    for (const auto& site : world.sites) by_nat[static_cast<std::size_t>(site.nat)] += site.count;
    Json json;
    json.set("seed", static_cast<std::int64_t>(world.spec.seed));
    json.set("nodes", static_cast<std::int64_t>(world.nodes.size()));
    json.set("sites", static_cast<std::int64_t>(world.sites.size()));
    json.set("regions", static_cast<std::int64_t>(world.regions.size()));
    json.set("lighthouses", static_cast<std::int64_t>(world.lighthouses.size()));
    json.set("flows", static_cast<std::int64_t>(world.flows.size()));
    json.set("without_nat", by_nat[static_cast<std::size_t>(mesh::Nat::None)]);
    json.set("behind_cone", by_nat[static_cast<std::size_t>(mesh::Nat::Cone)]);
    json.set("behind_symmetric", by_nat[static_cast<std::size_t>(mesh::Nat::Symmetric)]);
    return json;
}

Json measure_quality(const FigureSpec& spec) {
    const World world = make_world(spec.world);
    Simulation simulation(world, {.seed = spec.world.seed, .traffic_every = 5s});
    simulation.boot_all();
    simulation.run_until(Instant{} + spec.settle);

    const Degrees degrees = measure_degrees(simulation);
    const auto degree = static_cast<unsigned>(std::lround(degrees.mean()));
    const Graph random_graph = Graph::random(world, degree, spec.world.seed ^ 0x6a9);
    const Graph ring = Graph::ring(world, degree);
    Json json;
    json.set("world", facts_of(world));
    json.set("degree", degrees_json(degrees));
    json.set("baseline_degree", static_cast<std::int64_t>(degree));
    json.set("settled", whole_json(simulation));
    json.set("stretch", stretch_json(measure_stretch(simulation, random_graph, ring,
                                                     stretch_sources, stretch_targets)));
    if (spec.draw)
        spec.draw("map", draw_map(simulation, "The mesh of " + std::to_string(world.nodes.size()) +
                                                  " nodes, settled"));

    let_die(simulation);
    const auto alive = alive_of(simulation);
    Json dead = whole_json(simulation);
    dead.set("live", std::ranges::count(alive, 1));
    dead.set("random_ppm", ppm(random_graph.largest_component(alive)));
    dead.set("ring_ppm", ppm(ring.largest_component(alive)));
    json.set("dead", std::move(dead));

    simulation.run_until(simulation.now() + spec.repair);
    Json repaired = whole_json(simulation);
    repaired.set("degree", degrees_json(measure_degrees(simulation)));
    repaired.set("without_candidate", problems_json(check_candidates(simulation)));
    json.set("repaired", std::move(repaired));
    json.set("problems", problems_json(simulation.monitor().problems()));
    json.set("cost", cost_json(simulation));
    return json;
}

namespace {

// One experiment: this flow's direct path dies.
struct DeadLink {
    std::size_t flow = 0;
    Instant at{};
    bool there = true;
    bool back = true;
    Instant direct_again = never;
};

std::vector<DeadLink> choose_dead_links(const Simulation& simulation, Random& random) {
    const World& world = simulation.world();
    std::vector<DeadLink> chosen;
    for (std::size_t i = 0; i < world.flows.size() && chosen.size() < dead_links_limit; ++i) {
        const Flow& flow = world.flows[i];
        const Routes& routes = simulation.routes();
        if (world.same_site(flow.from, flow.to) || !simulation.linked(flow.from, flow.to)) continue;
        if (routes.next_hop(flow.from, flow.to) != flow.to ||
            routes.next_hop(flow.to, flow.from) != flow.from)
            continue;
        const std::uint64_t way = random.below(3);
        chosen.push_back({.flow = i,
                          .at = simulation.now() +
                                dead_link_pause * static_cast<int>(chosen.size()) +
                                random_time(random, 2s),
                          .there = way != 1,
                          .back = way != 2});
    }
    return chosen;
}

void plan_death(Simulation& simulation, DeadLink& link) {
    const Flow& flow = simulation.world().flows[link.flow];
    simulation.at(link.at, [&simulation, &link, flow] {
        if (link.there) simulation.underlay().block(flow.from, flow.to);
        if (link.back) simulation.underlay().block(flow.to, flow.from);
    });
    simulation.at(link.at + dead_link_time, [&simulation, flow] {
        simulation.underlay().unblock(flow.from, flow.to);
        simulation.underlay().unblock(flow.to, flow.from);
    });
    // Looked at each second for as long as a dead path's probes back off.
    for (Duration after = 1s; after <= 15min; after += 1s)
        simulation.at(link.at + dead_link_time + after, [&simulation, &link, flow] {
            const Routes& routes = simulation.routes();
            if (link.direct_again == never && routes.next_hop(flow.from, flow.to) == flow.to &&
                routes.next_hop(flow.to, flow.from) == flow.from)
                link.direct_again = simulation.now();
        });
}

}  // namespace

Json measure_dead_links(const FigureSpec& spec) {
    const World world = make_world(spec.world);
    Simulation simulation(world, {.seed = spec.world.seed, .traffic_every = 100ms});
    simulation.boot_all();
    simulation.run_until(Instant{} + spec.settle);
    SeededRandom random(spec.world.seed ^ 0xd1e);
    simulation.keep_outages();
    std::vector<DeadLink> links = choose_dead_links(simulation, random);
    for (auto& link : links) plan_death(simulation, link);
    simulation.run_until(simulation.now() + dead_link_pause * static_cast<int>(links.size()) +
                         dead_link_time + 16min);

    Distribution both;
    Distribution one;
    Distribution again;
    std::int64_t never_noticed = 0;
    for (const auto& link : links) {
        const auto outage = std::ranges::find_if(simulation.outages(), [&](const auto& some) {
            return some.flow == link.flow && some.from >= link.at && some.from <= link.at + 1s;
        });
        if (outage == simulation.outages().end() || outage->until > link.at + dead_link_time) {
            ++never_noticed;
            continue;
        }
        const double seconds = milliseconds_of(outage->until - outage->from) / 1000;
        (link.there && link.back ? both : one).add(seconds);
        if (link.direct_again != never)
            again.add(milliseconds_of(link.direct_again - link.at - dead_link_time) / 1000);
    }
    Json json;
    json.set("world", facts_of(world));
    json.set("links", static_cast<std::int64_t>(links.size()));
    json.set("dead_both_ways_s", percentiles(both));
    json.set("dead_one_way_s", percentiles(one));
    json.set("never_noticed", never_noticed);
    json.set("direct_again_s", percentiles(again));
    json.set("problems", problems_json(simulation.monitor().problems()));
    json.set("cost", cost_json(simulation));
    return json;
}

namespace {

// What idle nodes of one sort cost, in bytes a day.
struct IdleCost {
    Distribution total;
    Distribution scored_peer;  // for each
    Distribution lan_peer;
    Distribution lighthouse;
    Distribution beacons;

    Json json() const {
        Json out;
        out.set("total", percentiles(total));
        out.set("scored_peer", percentiles(scored_peer));
        out.set("lan_peer", percentiles(lan_peer));
        out.set("lighthouse", percentiles(lighthouse));
        out.set("beacons", percentiles(beacons));
        return out;
    }
};

}  // namespace

Json measure_idle(const FigureSpec& spec) {
    WorldSpec without_traffic = spec.world;
    without_traffic.traffic = false;
    const World world = make_world(without_traffic);
    Simulation simulation(world, {.seed = spec.world.seed});
    simulation.boot_all();
    simulation.run_until(Instant{} + spec.settle);
    for (NodeId node = 0; node < world.nodes.size(); ++node)
        simulation.wireguard().meter(node) = {};
    const std::uint64_t changes = simulation.monitor().changes();
    simulation.run_until(simulation.now() + 60min);

    IdleCost all;
    IdleCost metered;
    Meter::Traffic scored;
    for (NodeId node = 0; node < world.nodes.size(); ++node) {
        if (world.relays(node)) continue;
        const Meter& meter = simulation.wireguard().meter(node);
        double peers[3] = {};  // scored, LAN, lighthouses
        for (const Tunnel& tunnel : simulation.wireguard().tunnels(node))
            ++peers[world.relays(tunnel.peer) ? 2 : world.same_site(node, tunnel.peer) ? 1 : 0];
        const auto daily = [](std::uint64_t bytes) { return static_cast<double>(bytes) * 24; };
        IdleCost& cost = world.nodes[node].metered ? metered : all;
        cost.total.add(daily(meter.total()));
        cost.beacons.add(daily(meter.beacons));
        if (peers[0] > 0) cost.scored_peer.add(daily(meter.scored.total()) / peers[0]);
        if (peers[1] > 0) cost.lan_peer.add(daily(meter.lan.total()) / peers[1]);
        if (peers[2] > 0) cost.lighthouse.add(daily(meter.lighthouses.total()) / peers[2]);
        scored.handshakes += meter.scored.handshakes;
        scored.keepalives += meter.scored.keepalives;
        scored.messages += meter.scored.messages;
    }
    Json json;
    json.set("world", facts_of(world));
    json.set("bytes_a_day", all.json());
    json.set("metered_bytes_a_day", metered.json());
    Json parts;
    parts.set("handshakes", static_cast<std::int64_t>(scored.handshakes));
    parts.set("keepalives", static_cast<std::int64_t>(scored.keepalives));
    parts.set("messages", static_cast<std::int64_t>(scored.messages));
    json.set("scored_bytes_of_all", std::move(parts));
    json.set("link_changes", static_cast<std::int64_t>(simulation.monitor().changes() - changes));
    json.set("problems", problems_json(simulation.monitor().problems()));
    json.set("cost", cost_json(simulation));
    return json;
}

}  // namespace fortros::meshsim
