#include "mesh/plan.h"

#include <algorithm>
#include <cmath>

namespace fortros::mesh {

namespace {

class Planner {
public:
    Planner(const PublicKey& self, const Members& members, std::span<const Candidate> candidates,
            const Budget& budget, std::optional<WallTime> wall)
        : m_self(self),
          m_members(members),
          m_candidates(candidates),
          m_budget(budget),
          m_wall(wall) {}

    Plan make() {
        neighbours_on_the_link();
        for (std::size_t order = 0; order < m_budget.sorts; ++order) fallback(order);
        everybody();
        const std::size_t settled = m_scored;
        const std::size_t left = m_budget.target - std::min(settled, m_budget.target);
        const std::size_t talking = talked_with(left - std::min(left, near_minimum));
        nearest(left - std::min(left, talking));
        lifelines();
        if (m_budget.reluctance > 0) kept();
        std::ranges::sort(m_wishes, {}, &Wish::key);
        return {std::move(m_wishes), std::move(m_waiting)};
    }

private:
    // What has come of a wish: a link that works, one that may come, or nothing that would do.
    enum class Prospect : std::uint8_t { None, Hoped, Had };

    const Candidate* find(const PublicKey& key) const {
        const auto at = std::ranges::lower_bound(m_candidates, key, {}, &Candidate::key);
        return at != m_candidates.end() && at->key == key ? &*at : nullptr;
    }
    bool wished(const PublicKey& key) const {
        return std::ranges::contains(m_wishes, key, &Wish::key);
    }
    void wish(const Wish& wish) {
        if (wished(wish.key)) return;
        if (wish.why != Why::Lan) ++m_scored;
        m_wishes.push_back(wish);
    }
    static double value(const Candidate& candidate) { return score(candidate.merits).value(); }

    void neighbours_on_the_link() {
        std::vector<const Candidate*> lan;
        for (const Candidate& some : m_candidates)
            if (some.lan && (some.willing || some.merits.linked)) lan.push_back(&some);
        // Who is a peer already stays one; a stable order keeps the others as they are.
        std::ranges::stable_sort(lan, std::greater{},
                                 [](const Candidate* some) { return some->merits.linked; });
        if (lan.size() > m_budget.lan) lan.resize(m_budget.lan);
        for (const Candidate* some : lan) wish({some->key, Why::Lan, 0, 0, value(*some)});
    }

    // One neighbour to each side of the ring: the nearest that can be had. Until it is had, a substitute that
    // works stays; what is only hoped for would cost a link each time that the hope is in vain.
    void fallback(std::size_t order) {
        const std::size_t depth = m_budget.lonely ? fallback_depth_lonely : fallback_depth;
        const auto ring = m_members.neighbours(m_self, order, depth);
        for (std::size_t side = 0; side < 2; ++side) {
            bool hopes = false;
            for (std::size_t at = side; at < ring.size(); at += 2) {
                if (hopes && !is_had(*ring[at])) continue;
                const Prospect prospect = wish_for(*ring[at], Why::Fallback, order, at / 2);
                if (prospect == Prospect::Had) break;
                hopes = hopes || prospect == Prospect::Hoped;
            }
        }
    }

    bool is_had(const Member& member) const {
        const Candidate* known = find(member.key);
        return known && known->merits.linked && known->works;
    }

    // Where there are places for all, nobody has to earn one.
    void everybody() {
        const auto others = m_members.neighbours(m_self, 0, m_budget.target / 2 + 1);
        if (others.size() > m_budget.target) return;
        for (const Member* other : others) wish_for(*other, Why::Everybody, 0, 0);
    }

    Prospect wish_for(const Member& member, Why why, std::size_t order, std::size_t depth) {
        const Candidate* known = find(member.key);
        const bool linked = known && known->merits.linked;
        if (!linked && (m_wall && member.not_after < *m_wall)) return Prospect::None;
        if (known && !linked && !known->willing) {
            if (!known->held && !std::ranges::contains(m_waiting, member.key))
                m_waiting.push_back(member.key);
            return Prospect::None;
        }
        wish({member.key, why, static_cast<std::uint8_t>(order), static_cast<std::uint8_t>(depth),
              known ? value(*known) : 0});
        if (!linked) return Prospect::Hoped;
        return known->works ? Prospect::Had : Prospect::None;
    }

    // The best of those that `eligible` accepts, at most `places`; how many are new in the plan.
    template <typename Eligible>
    std::size_t best(Why why, std::size_t places, const Eligible& eligible, double reluctance = 0) {
        std::vector<Wish> some;
        for (const Candidate& candidate : m_candidates)
            if ((candidate.willing || candidate.merits.linked) && eligible(candidate) &&
                !wished(candidate.key))
                some.push_back({candidate.key, why, 0, 0,
                                value(candidate) - (candidate.wished ? 0 : reluctance)});
        std::ranges::sort(some, [](const Wish& a, const Wish& b) {
            return a.score != b.score ? a.score > b.score : a.key < b.key;
        });
        if (some.size() > places) some.resize(places);
        for (const Wish& one : some) wish(one);
        return some.size();
    }

    std::size_t talked_with(std::size_t places) {
        return best(Why::Demand, places, [](const Candidate& some) {
            return some.merits.linked ? some.merits.demand >= demand_to_keep
                                      : some.merits.recent_demand >= demand_to_gain;
        });
    }

    // Who is linked is not left for a trifle: it may be twice as far as who is not, and farther still when
    // this node rests.
    void nearest(std::size_t places) {
        const double margin = std::exp2(m_budget.reluctance / points_per_doubling);
        const auto limit = static_cast<double>(near_limit().count());
        const auto is_near = [=, this](const Candidate& some) {
            if (!some.merits.rtt) return false;
            const auto rtt = static_cast<double>(some.merits.rtt->count());
            if (!some.merits.linked && m_budget.reluctance >= reluctance_limit) return false;
            if (some.merits.linked)
                return some.works && rtt <= limit * 2 * (some.wished ? margin : 1 / margin);
            return rtt * margin <= limit;
        };
        best(Why::Near, places, is_near, m_budget.reluctance);
    }

    Duration near_limit() const {
        static constexpr std::size_t enough = 3;
        std::vector<Duration> some;
        for (const Wish& wish : m_wishes) {
            const Candidate* known = wish.why == Why::Fallback ? find(wish.key) : nullptr;
            if (known && known->merits.measured) some.push_back(*known->merits.rtt);
        }
        if (some.size() < enough) return near_always;
        const auto middle = some.begin() + static_cast<std::ptrdiff_t>(some.size() / 2);
        std::ranges::nth_element(some, middle);
        return std::max(near_always, *middle / 2);
    }

    void lifelines() {
        for (const Candidate& some : m_candidates)
            if (some.merits.linked && some.merits.lifeline && m_scored < m_budget.limit)
                wish({some.key, Why::Lifeline, 0, 0, value(some)});
    }

    // A node that rests leaves nobody for whom nothing speaks any more, as long as there is a place.
    void kept() {
        best(Why::Kept, m_budget.limit - std::min(m_scored, m_budget.limit),
             [](const Candidate& some) { return some.merits.linked && some.works; });
    }

    const PublicKey& m_self;
    const Members& m_members;
    std::span<const Candidate> m_candidates;
    const Budget& m_budget;
    std::optional<WallTime> m_wall;
    std::vector<Wish> m_wishes{};
    std::vector<PublicKey> m_waiting{};
    std::size_t m_scored = 0;
};

}  // namespace

std::string Wish::in_words() const {
    switch (why) {
        case Why::Lan: return "on this link";
        case Why::Fallback:
            return "fallback order " + std::to_string(order) +
                   (depth > 0 ? ", for " + std::to_string(depth) + " nearer that can't be had"
                              : "");
        case Why::Everybody: return "a place for everybody";
        case Why::Demand: return "traffic";
        case Why::Near: return "near";
        case Why::Lifeline: return "its lifeline";
        case Why::Kept: return "kept, as nobody needs its place";
    }
    return {};
}

Plan plan(const PublicKey& self, const Members& members, std::span<const Candidate> candidates,
          const Budget& budget, std::optional<WallTime> wall) {
    return Planner(self, members, candidates, budget, wall).make();
}

Difference difference(const Plan& plan, const KeyMap<Agreement>& have, std::size_t limit,
                      std::size_t places) {
    Difference out;
    for (const Wish& wish : plan.wishes) {
        const auto known = have.find(wish.key);
        if (known != have.end() && known->second.wished) continue;
        // What is agreed already costs nothing to wish for.
        if (known == have.end() || !known->second.linked()) {
            const bool needs_place = wish.why != Why::Lan;
            if (needs_place && places == 0) continue;
            if (limit == 0) {
                out.more = true;
                continue;
            }
            --limit;
            if (needs_place) --places;
        }
        out.ask.push_back(wish.key);
    }
    for (const auto& [key, agreement] : have) {
        if (std::ranges::binary_search(plan.wishes, key, {}, &Wish::key)) continue;
        if (agreement.linked()) {
            out.spare.push_back(key);
        } else if (agreement.wished && agreement.state == LinkState::None &&
                   !std::ranges::contains(plan.waiting, key)) {
            out.forget.push_back(key);
        }
    }
    return out;
}

}  // namespace fortros::mesh
