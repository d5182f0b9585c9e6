#include "sim/fast_start_judge.h"

#include <algorithm>

#include "core/crypto.h"

namespace fortros::sim {

using namespace fakes;

namespace {

constexpr Duration local_slack = 50ms;

class Judge {
public:
    Judge(const RandomWorld& made, const Expectation& expected, const FastStartExpectation& fast,
          const Before& before, const Ended& ended)
        : m_made(made),
          m_world(made.boot_world),
          m_expected(expected),
          m_fast(fast),
          m_before(before),
          m_ended(ended) {}

    std::vector<std::string> judge() {
        check_start();
        check_peers();
        check_sessions();
        check_end();
        if (m_ended.status == ExitStatus::Revoked) check_revoked();
        return std::move(m_problems);
    }

private:
    void hold(bool holds, const std::string& problem) {
        if (!holds) m_problems.push_back(problem);
    }

    void check_start() {
        hold(m_fast.allowed || !m_world.applied_from_memory,
             "the overlay was up from a set that may not be used: " +
                 std::string(name_of(m_made.set)));
        hold(!m_fast.allowed || !m_expected.first_link || m_world.applied_from_memory,
             "the overlay was not up from a sound set");
    }

    void check_peers() {
        for (const auto& key : m_world.tunnels.configured)
            hold(std::ranges::contains(m_made.members, key, &MeshPeer::key),
                 "peered with somebody else's: " + key.base64());
    }

    // A node keeps its packets for a session that the other side has forgotten.
    void check_sessions() {
        hold(m_world.org.false_sessions == 0, "told a gateway of a session that it has not");
        if (m_ended.status != ExitStatus::Joined || !m_world.handed_off) return;
        const PublicKey& gateway = m_world.org.gateway_public;
        const auto& sessions = m_world.tunnels.sessions;
        if (!m_world.handed_off->remembered)
            hold(!sessions.contains(gateway) ||
                     m_world.org.sessions.contains(m_world.handed_off->node),
                 "goes on with a session that the gateway has forgotten");
        hold(!m_world.handed_off->handshake_answered || !sessions.empty(),
             "says that a handshake was answered");
    }

    void check_end() {
        const auto& hand_off = m_world.handed_off;
        hold(hand_off.has_value() == m_world.tunnels.up.has_value(),
             hand_off ? "handed an overlay off that is not up" : "left an overlay behind");
        const bool is_remembered = hand_off && hand_off->remembered;
        if (is_remembered) {
            hold(m_ended.status == ExitStatus::Joined, "a remembered overlay, and no success");
            hold(hand_off->handshake_answered && m_world.tunnels.handshakes > 0,
                 "handed an overlay off in which nobody has answered");
            hold(Instant{} + m_ended.took + local_slack >= m_ended.budget_end,
                 "gave the gateways up before its budget had ended");
        }
        // A gateway that was heard knows better than what is remembered.
        if (hand_off || m_ended.status == ExitStatus::Refused ||
            m_ended.status == ExitStatus::Revoked)
            return;
        hold(m_world.tunnels.handshakes == 0,
             "a peer has answered, and the boot ended as " + std::string(name_of(m_ended.status)));
        hold(!m_fast.tunnel_due || *m_fast.tunnel_due > m_ended.budget_end,
             "a peer would have answered");
    }

    // One gateway that errs must not be able to end a fleet.
    void check_revoked() {
        hold(!m_world.requests.empty() &&
                 is_ever(m_world, m_world.requests.back().endpoint, Host::Revokes),
             "says that it was revoked");
        hold(m_world.taken_down, "was revoked and has taken nothing down");
        if (!m_before.key) return;  // it has just made one
        const Before after(m_world);
        hold(after.key == m_before.key, "was revoked and has lost its key");
        if (!m_before.state) return;
        NodeState expected = *m_before.state;
        expected.revoked = true;
        hold(after.state == expected, "was revoked and has changed more than that in its state");
    }

    const RandomWorld& m_made;
    const BootWorld& m_world;
    const Expectation& m_expected;
    const FastStartExpectation& m_fast;
    const Before& m_before;
    const Ended& m_ended;
    std::vector<std::string> m_problems;
};

}  // namespace

Before::Before(const BootWorld& world) : state(world.stored_state) {
    if (world.stored_key) key = *crypto::public_key_of(*world.stored_key);
}

std::vector<std::string> judge_fast_start(const RandomWorld& made, const Expectation& expected,
                                          const FastStartExpectation& fast, const Before& before,
                                          const Ended& ended) {
    return Judge(made, expected, fast, before, ended).judge();
}

}  // namespace fortros::sim
