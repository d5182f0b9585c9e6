#include "sim/discovery_judge.h"

#include <algorithm>
#include <ranges>

#include "sim/fast_start_judge.h"

namespace fortros::sim {

using namespace fakes;

namespace {

// What storing, configuring and rounding may add.
constexpr Duration local_slack = 50ms;

class Judge {
public:
    Judge(const RandomWorld& made, Outcome& outcome)
        : m_made(made),
          m_world(made.boot_world),
          m_outcome(outcome),
          m_expected(outcome.expected),
          m_is_joined(
              (outcome.status == ExitStatus::Joined || outcome.status == ExitStatus::NoHandshake) &&
              !(m_world.handed_off && m_world.handed_off->remembered)) {}

    void judge() {
        check_who_was_asked();
        check_how_many_at_once();
        check_patience();
        check_join();
        if (m_expected.at_once)
            check_ends_at_once();
        else
            check_end();
        check_due();
    }

    Instant budget_end() const {
        const auto pending =
            std::ranges::find(m_world.told_to_wait, Host::Pending, &BootWorld::Told::host);
        const Instant end = Instant{} + m_world.settings.total_timeout;
        if (pending == m_world.told_to_wait.end()) return end;
        return std::max(end, pending->at + m_world.settings.approval_timeout);
    }

private:
    void hold(bool holds, const std::string& problem) {
        if (!holds && !std::ranges::contains(m_outcome.problems, problem))
            m_outcome.problems.push_back(problem);
    }

    void check_who_was_asked() {
        for (const auto& lookup : m_world.lookups) {
            hold(m_expected.allowed.has(lookup.source), "asked for a look-up of " +
                                                            std::string(name_of(lookup.source)) +
                                                            ", which is not allowed");
            for (const auto& server : lookup.resolvers.servers)
                hold(m_expected.resolvers.contains(
                         {server, lookup.source == Source::DhcpDns ? lookup.resolvers.ifindex : 0}),
                     "asked a resolver that is none of the allowed: " + server.text());
        }
        for (const auto& endpoint : m_world.connected)
            hold(m_world.named.contains(endpoint) ||
                     (m_expected.allowed.has(Source::Cached) &&
                      std::ranges::contains(m_expected.cached, endpoint)),
                 "called somebody whom nobody has named: " + endpoint.text());
    }

    void check_how_many_at_once() {
        const bool race = m_world.settings.race;
        hold(m_world.most_connections <= (race ? attempts_at_once : 1),
             std::to_string(m_world.most_connections) + " connections at once");
        hold(race || m_world.most_lookups <= 1, "look-ups at once without a race");
        hold(m_world.links.size() > 1 || m_world.bound == 0,
             "has bound something to the only link there is");
    }

    // Only a gateway that has proved itself can ask for patience.
    void check_patience() {
        for (const auto& told : m_world.told_to_wait)
            for (const auto& request : m_world.requests)
                hold(request.endpoint != told.endpoint || request.at <= told.at ||
                         request.at >= told.at + told.retry_after,
                     told.endpoint.text() + " was asked again before its Retry-After");
    }

    void check_join() {
        if (!m_is_joined) return;
        if (!m_world.handed_off) return hold(false, "joined and handed nothing off");
        const auto& request = m_world.requests.back();
        const HandOff& hand_off = *m_world.handed_off;
        hold(request.host != Host::Thief && m_world.org.enrolments + m_world.org.joins > 0,
             "joined by a rogue: " + request.endpoint.text());
        hold(hand_off.gateway == request.endpoint, "the hand-off names another gateway");
        hold(hand_off.gateway_key == m_world.org.gateway_public,
             "the hand-off has a key of no gateway");
        hold(m_expected.allowed.has(hand_off.source), "joined by a source that is not allowed");
        hold(m_world.tunnels.sessions.contains(m_world.org.gateway_public) ==
                     (m_outcome.status == ExitStatus::Joined) ||
                 m_world.settings.handshake_timeout == Duration{} ||
                 Instant{} + m_outcome.took >= budget_end(),
             "the status says something else about the handshake");
        m_outcome.search = request.at - m_expected.first_link.value_or(Instant{});
    }

    void check_ends_at_once() {
        hold(m_outcome.status == *m_expected.at_once && m_outcome.took == Duration{},
             "should have ended at once as " + std::string(name_of(*m_expected.at_once)));
        hold(m_world.lookups.empty() && m_world.connected.empty(), "was not silent");
    }

    void check_end() {
        const ExitStatus status = m_outcome.status;
        const Instant ended = Instant{} + m_outcome.took;
        hold(ended <= budget_end() + local_slack, "went on after its budget");
        if (m_is_joined) return;
        if (status == ExitStatus::NoLink) {
            hold(!m_expected.first_link, "says that there was no link");
            hold(m_outcome.took ==
                     std::min(m_world.settings.link_timeout, m_world.settings.total_timeout),
                 "did not wait for a link");
            return;
        }
        hold(m_expected.first_link.has_value(), "went on without a link");
        const auto told = [this](Host kind) {
            return std::ranges::contains(m_world.told_to_wait, kind, &BootWorld::Told::host);
        };
        if (status == ExitStatus::Refused) return check_refused();
        if (status == ExitStatus::Revoked || m_world.handed_off) return;  // fast_start_judge.cc
        hold(ended + local_slack >= budget_end(), "gave up before its budget had ended");
        switch (status) {
            case ExitStatus::NoGateway:
                return hold(!told(Host::Busy), "does not say that somebody was busy");
            case ExitStatus::PolicyLost:
                return hold(is_policy_lost(m_made.past), "says that its policy is lost");
            case ExitStatus::GatewayBusy: return hold(told(Host::Busy), "says that it is busy");
            case ExitStatus::ApprovalPending:
                return hold(told(Host::Pending), "says that an approval is pending");
            case ExitStatus::GatewayUntrusted: return;
            default: hold(false, "ended as " + std::string(name_of(status)));
        }
    }

    // Another gateway may know better, unless it has not been asked to the end.
    void check_refused() {
        // A host that refuses may have been another kind when it authenticated.
        const auto refuses = [this](const BootWorld::Request& request) {
            return is_ever(m_world, request.endpoint, Host::Refuses);
        };
        hold(std::ranges::any_of(m_world.requests, refuses), "says that it was refused");
        if (Instant{} + m_outcome.took + local_slack >= budget_end()) return;
        for (const auto& told : m_world.told_to_wait)
            hold(!std::ranges::contains(m_expected.cached, told.endpoint) ||
                     std::ranges::contains(m_world.connected | std::views::drop(told.connections),
                                           told.endpoint),
                 "gave up although " + told.endpoint.text() + " asked for patience");
    }

    void check_due() {
        if (!m_expected.due) return;
        const std::string late =
            " (" + m_expected.path + ", due by " + to_text(*m_expected.due - Instant{}) + ")";
        if (!m_is_joined) return hold(false, "has not joined" + late);
        hold(!m_world.requests.empty() && m_world.requests.back().at <= *m_expected.due,
             "has joined too late" + late);
    }

    const RandomWorld& m_made;
    const BootWorld& m_world;
    Outcome& m_outcome;
    const Expectation& m_expected;
    const bool m_is_joined;  // by what a gateway has answered
};

}  // namespace

Outcome run_discovery_world(std::uint64_t seed, const FakeSigner& signer,
                            std::function<void(const std::string&)> witness) {
    RandomWorld made(seed, signer);
    BootWorld& world = made.boot_world;
    Outcome outcome;
    outcome.expected = expect(made);
    if (made.past == Past::StateCorrupt && world.stored_state)
        outcome.problems.emplace_back("a damaged state was read");
    world.witness = std::move(witness);
    const auto fast = expect_fast_start(made, outcome.expected);
    const Before before(world);
    outcome.status = world.boot();
    outcome.took = world.took;
    if (world.applied_from_memory) outcome.remembered = Outcome::Remembered::Up;
    if (world.handed_off && world.handed_off->remembered)
        outcome.remembered = Outcome::Remembered::HandedOff;
    Judge judge(made, outcome);
    judge.judge();
    const Ended ended{outcome.status, outcome.took, judge.budget_end()};
    std::ranges::move(judge_fast_start(made, outcome.expected, fast, before, ended),
                      std::back_inserter(outcome.problems));
    return outcome;
}

}  // namespace fortros::sim
