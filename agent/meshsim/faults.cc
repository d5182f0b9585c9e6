#include "meshsim/faults.h"

#include <algorithm>
#include <cstdio>

#include "meshsim/checks.h"

namespace fortros::meshsim {

namespace {

constexpr Duration faults_begin = 8min;
constexpr Duration faults_end = 40min;
constexpr Duration check_every = 30s;
constexpr Duration revocation_spread = 5s;
constexpr Duration revoked_within = 10s;
constexpr std::size_t faults_limit = 6;

class Script {
public:
    Script(Simulation& simulation, std::uint64_t seed)
        : m_simulation(simulation), m_random(seed ^ 0xfa417), m_newcomers(choose_newcomers()) {
        simulation.leave_out(m_newcomers);
    }

    void write() {
        const std::size_t count = 3 + m_random.below(faults_limit - 2);
        for (std::size_t i = 0; i < count; ++i) add_fault();
        for (const NodeId node : m_newcomers)
            plan(some_time(), "node " + std::to_string(node) + " joins",
                 [this, node] { m_simulation.join(node, 10s); });
        plan(faults_end, "all heals", [this] { heal(); });
    }

    const std::vector<std::string>& told() const { return m_told; }

private:
    using Fault = void (Script::*)(Duration begin, Duration end);

    std::vector<NodeId> choose_newcomers() {
        std::vector<NodeId> nodes;
        const std::size_t count = m_random.below(6);
        while (nodes.size() < count) nodes.push_back(some_node());
        std::ranges::sort(nodes);
        const auto repeated = std::ranges::unique(nodes);
        nodes.erase(repeated.begin(), repeated.end());
        return nodes;
    }

    NodeId some_node() {
        NodeId node;
        do node = static_cast<NodeId>(m_random.below(m_simulation.world().nodes.size()));
        while (m_simulation.world().relays(node));
        return node;
    }

    Duration between(Duration low, Duration high) {
        return low + Duration{static_cast<std::int64_t>(
                         m_random.below(static_cast<std::uint64_t>((high - low).count()) + 1))};
    }
    Duration some_time() { return between(faults_begin, faults_end - 3min); }

    void plan(Duration when, std::string what, std::function<void()> how) {
        m_simulation.at(
            Instant{} + when, [this, when, what = std::move(what), how = std::move(how)] {
                char time[16];
                std::snprintf(time, sizeof time, "%5.0f s  ", milliseconds_of(when) / 1000);
                m_told.push_back(time + what);
                how();
            });
    }

    void add_fault() {
        static constexpr Fault all[] = {
            &Script::cut_region, &Script::split_org,   &Script::mass_death, &Script::lighthouses,
            &Script::churn,      &Script::dead_links,  &Script::storm,      &Script::revocations,
            &Script::restarts,   &Script::site_outage,
        };
        const Duration begin = some_time();
        const Duration end = between(begin + 30s, faults_end);
        (this->*all[m_random.below(std::size(all))])(begin, end);
    }

    void cut(Duration begin, Duration end, std::string what, std::vector<std::uint8_t> side) {
        plan(begin, what + " is cut off", [this, end, what, side = std::move(side)] {
            const std::size_t id = m_simulation.underlay().cut(side);
            plan(std::max(end, m_simulation.now() - Instant{}), what + " is back",
                 [this, id] { m_simulation.underlay().heal(id); });
        });
    }

    void cut_region(Duration begin, Duration end) {
        const World& world = m_simulation.world();
        const std::size_t region = m_random.below(world.regions.size());
        std::vector<std::uint8_t> side(world.sites.size(), 0);
        for (const SiteId site : world.regions[region].sites) side[site] = 1;
        cut(begin, end, std::string("region ") + world.regions[region].city->name, std::move(side));
    }

    void split_org(Duration begin, Duration end) {
        std::vector<std::uint8_t> side(m_simulation.world().sites.size());
        for (auto& some : side) some = static_cast<std::uint8_t>(m_random.below(2));
        cut(begin, end, "half of the sites", std::move(side));
    }

    void site_outage(Duration begin, Duration end) {
        std::vector<std::uint8_t> side(m_simulation.world().sites.size(), 0);
        const std::size_t site = m_random.below(side.size());
        side[site] = 1;
        cut(begin, end, "site " + std::to_string(site), std::move(side));
    }

    void mass_death(Duration begin, Duration end) {
        const std::uint64_t percent = 10 + m_random.below(41);
        const bool for_good = m_random.below(3) == 0;
        std::vector<NodeId> chosen;
        for (NodeId node = 0; node < m_simulation.world().nodes.size(); ++node)
            // For good, but a lighthouse is always replaced in the end.
            if (m_random.below(100) < percent && !(for_good && m_simulation.world().relays(node)))
                chosen.push_back(node);
        plan(begin, std::to_string(chosen.size()) + " nodes die" + (for_good ? " for good" : ""),
             [this, chosen] {
                 for (const NodeId node : chosen) m_simulation.kill(node);
             });
        if (for_good) return;
        plan(end, "they boot again", [this, chosen] {
            for (const NodeId node : chosen) m_simulation.boot(node);
        });
    }

    void lighthouses(Duration begin, Duration end) {
        const auto& all = m_simulation.world().lighthouses;
        std::vector<NodeId> chosen = all;
        if (m_random.below(3) != 0) chosen = {all[m_random.below(all.size())]};
        plan(begin, std::to_string(chosen.size()) + " lighthouses die", [this, chosen] {
            for (const NodeId node : chosen) m_simulation.kill(node);
        });
        plan(end, "they are back", [this, chosen] {
            for (const NodeId node : chosen) m_simulation.boot(node);
        });
    }

    void churn(Duration begin, Duration end) {
        const std::size_t count = 5 + m_random.below(30);
        for (std::size_t i = 0; i < count; ++i) {
            const NodeId node = some_node();
            const Duration down = between(begin, end);
            plan(down, "node " + std::to_string(node) + " loses power",
                 [this, node] { m_simulation.kill(node); });
            plan(down + between(1s, 3min), "node " + std::to_string(node) + " boots",
                 [this, node] { m_simulation.boot(node); });
        }
    }

    void dead_links(Duration begin, Duration end) {
        const std::size_t count = 10 + m_random.below(60);
        for (std::size_t i = 0; i < count; ++i) {
            const NodeId a = some_node();
            const NodeId b = some_node();
            const bool both = m_random.below(2) == 0;
            plan(begin, "the way from " + std::to_string(a) + " to " + std::to_string(b) + " dies",
                 [this, a, b, both] {
                     m_simulation.underlay().block(a, b);
                     if (both) m_simulation.underlay().block(b, a);
                 });
            plan(end, "it is back", [this, a, b] {
                m_simulation.underlay().unblock(a, b);
                m_simulation.underlay().unblock(b, a);
            });
        }
    }

    void storm(Duration begin, Duration end) {
        const double loss = 0.05 + 0.25 * m_random.unit();
        plan(begin, std::to_string(static_cast<int>(loss * 100)) + " % of all packets get lost",
             [this, loss] { m_simulation.underlay().set_loss(loss); });
        plan(end, "they arrive again", [this] { m_simulation.underlay().set_loss(0); });
    }

    void revocations(Duration begin, Duration) {
        const std::size_t count = 1 + m_random.below(5);
        for (std::size_t i = 0; i < count; ++i) {
            const NodeId node = some_node();
            plan(begin, "node " + std::to_string(node) + " is revoked",
                 [this, node] { m_simulation.revoke(node, revocation_spread); });
        }
        plan(begin + revoked_within, "the revoked must be out", [this] {
            for (const auto& problem : check_revoked(m_simulation))
                m_simulation.monitor().problem(m_simulation.now(), problem);
        });
    }

    void restarts(Duration begin, Duration end) {
        for (NodeId node = 0; node < m_simulation.world().nodes.size(); ++node)
            if (m_random.below(100) < 20)
                plan(between(begin, end), "maintainer " + std::to_string(node) + " restarts",
                     [this, node] { m_simulation.restart_maintainer(node); });
    }

    // Cuts, deaths and loss end by themselves; what is left over ends here.
    void heal() {
        m_simulation.end_staleness();
        m_simulation.underlay().set_loss(0);
    }

    Simulation& m_simulation;
    SeededRandom m_random;
    std::vector<NodeId> m_newcomers;
    std::vector<std::string> m_told;
};

WorldSpec world_of(const FaultSpec& spec) {
    SeededRandom random(spec.seed ^ 0x40e1d);
    WorldSpec world{.seed = spec.seed, .nodes = spec.nodes};
    world.liars_percent = random.below(2) == 0 ? 0 : static_cast<unsigned>(1 + random.below(8));
    world.stale_percent = random.below(2) == 0 ? 0 : static_cast<unsigned>(10 + random.below(40));
    world.lan_nodes = static_cast<unsigned>(4 + random.below(16));
    world.lighthouses = static_cast<unsigned>(2 + random.below(4));
    return world;
}

// The time from the healing until every check holds and goes on holding.
Duration await_convergence(Simulation& simulation, std::vector<std::string>& problems) {
    const Instant healed = Instant{} + faults_end;
    Instant good = never;
    std::vector<std::string> last;
    for (Instant when = healed + check_every; when <= healed + convergence_limit;
         when += check_every) {
        simulation.run_until(when);
        last = check_all(simulation);
        if (!last.empty())
            good = never;
        else if (good == never)
            good = when;
    }
    for (const auto& problem : last)
        if (problems.size() < problems_limit) problems.push_back("not healed in time: " + problem);
    return good == never ? convergence_limit : good - healed;
}

}  // namespace

FaultOutcome run_fault_world(const FaultSpec& spec, const std::function<void(Simulation&)>& watch) {
    const World world = make_world(world_of(spec));
    Simulation simulation(world, {.seed = spec.seed});
    Script script(simulation, spec.seed);
    if (watch) watch(simulation);
    script.write();
    simulation.boot_all();
    simulation.run_until(Instant{} + faults_end);
    FaultOutcome outcome;
    outcome.converged = await_convergence(simulation, outcome.problems);
    simulation.run_until(Instant{} + faults_end + spec.settle);
    simulation.monitor().expect_rest(true);
    simulation.run_until(simulation.now() + spec.rest);
    outcome.changes = simulation.monitor().changes();
    outcome.changes_at_rest = simulation.monitor().changes_at_rest();
    for (const auto& problem : check_all(simulation))
        if (outcome.problems.size() < problems_limit)
            outcome.problems.push_back("broken at rest: " + problem);
    const auto& seen = simulation.monitor().problems();
    outcome.problems.insert(outcome.problems.end(), seen.begin(), seen.end());
    outcome.faults = script.told();
    for (NodeId node = 0; node < world.nodes.size(); ++node)
        if (simulation.alive(node)) ++outcome.live;
    outcome.liars = static_cast<std::size_t>(
        std::ranges::count_if(world.nodes, [](const Node& it) { return it.lie != Lie::None; }));
    return outcome;
}

}  // namespace fortros::meshsim
