// Watches every change of a link as it happens: counts them for the measures over time, and tells what
// should never happen at any moment. It changes nothing.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/time.h"
#include "meshsim/world.h"

namespace fortros::meshsim {

inline constexpr std::size_t problems_limit = 20;  // told of one world

class Simulation;

class Monitor {
public:
    explicit Monitor(const World& world) : m_world(world) {}

    // Before `node` goes from these direct peers to those; both sorted.
    void judge_change(const Simulation& simulation, NodeId node, const std::vector<NodeId>& before,
                      const std::vector<NodeId>& after);
    void asked_to_leave(NodeId node, NodeId peer, Instant now);
    // `why` must say what and who.
    void problem(Instant now, const std::string& why);

    std::uint64_t changes() const { return m_changes; }
    // Between honest nodes, since expect_rest(): liars come and go as they please.
    std::uint64_t changes_at_rest() const { return m_changes_at_rest; }
    Instant last_change() const { return m_last_change; }
    const std::vector<std::string>& problems() const { return m_problems; }
    std::uint64_t problems_told() const { return m_problem_count; }
    // Changes from now on are problems: the world has settled.
    void expect_rest(bool rest) { m_rest = rest; }

private:
    void count(const Simulation& simulation, const char* what, NodeId node, NodeId peer);
    void judge_removal(const Simulation& simulation, NodeId node, NodeId peer);

    const World& m_world;
    std::uint64_t m_changes = 0;
    std::uint64_t m_changes_at_rest = 0;
    Instant m_last_change{};
    bool m_rest = false;
    std::unordered_map<std::uint64_t, Instant> m_asked;  // who asked whom to let it go, and when
    std::unordered_set<NodeId> m_over_budget;
    std::vector<std::string> m_problems;
    std::uint64_t m_problem_count = 0;
};

}  // namespace fortros::meshsim
