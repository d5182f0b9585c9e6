#include "mesh/score.h"

#include <algorithm>
#include <cmath>

namespace fortros::mesh {

namespace {

// Points.
constexpr double latency_points_limit = 90;
constexpr double latency_unit = 2;         // ms; less makes no difference
constexpr double demand_unit = 64 * 1024;  // bytes; no points below
constexpr double demand_points_limit = 120;
constexpr double failure_points = 8;
constexpr double failures_counted = 6;
constexpr double links_without_load = 14;
constexpr double points_per_link = 0.5;
constexpr double full_points = 15;
// A factor of 1.6 in latency: nobody is left for somebody slightly nearer.
constexpr double linked_points = 7;
constexpr double lifeline_points = 1000;
constexpr double cannot_meet_points = 60;

double nat_points(Nat own, Nat other) {
    if (!may_meet(own, other)) return -cannot_meet_points;
    switch (other) {
        case Nat::None: return 0;
        case Nat::Cone: return -2;
        case Nat::Unknown: return -2;
        case Nat::Symmetric: return -4;
    }
    return 0;
}

std::string bytes_in_words(double bytes) {
    const char* unit = " KB";
    double number = bytes / 1e3;
    if (number >= 1000) {
        number /= 1000;
        unit = " MB";
    }
    if (number >= 1000) {
        number /= 1000;
        unit = " GB";
    }
    return std::to_string(std::lround(number)) + unit;
}

}  // namespace

double Decaying::at(Instant now) const {
    if (m_amount == 0) return 0;
    const auto age = static_cast<double>((now - m_at).count());
    return m_amount * std::exp2(-std::max(age, 0.0) / static_cast<double>(m_half_life.count()));
}

bool may_meet(Nat one, Nat other) {
    if (one == Nat::Symmetric) return other != Nat::Symmetric && other != Nat::Cone;
    if (other == Nat::Symmetric) return one != Nat::Cone;
    return true;
}

double points_between(Duration rtt, Duration longer) {
    const double times =
        (milliseconds_of(longer) + latency_unit) / (milliseconds_of(rtt) + latency_unit);
    return points_per_doubling * std::log2(times);
}

Score score(const Merits& merits) {
    Score out;
    out.latency = std::clamp(points_between(merits.rtt.value_or(unknown_rtt), unknown_rtt),
                             -latency_points_limit, latency_points_limit);
    out.stability = -failure_points * std::min(merits.failures, failures_counted);
    if (!merits.linked) out.nat = nat_points(merits.own_nat, merits.nat);
    out.load = -points_per_link * std::max(0.0, merits.links - links_without_load);
    if (merits.full && !merits.linked) out.load -= full_points;
    if (merits.demand > demand_unit)
        out.demand = std::min(points_per_doubling * std::log2(merits.demand / demand_unit),
                              demand_points_limit);
    if (merits.linked) out.bonus = linked_points;
    if (merits.lifeline) out.lifeline = lifeline_points;
    return out;
}

std::string in_words(const Merits& merits) {
    std::string out;
    const auto add = [&out](const std::string& part) {
        if (!out.empty()) out += ", ";
        out += part;
    };
    if (merits.rtt) add((merits.measured ? "" : "about ") + to_text(*merits.rtt));
    if (merits.demand >= 1000) add(bytes_in_words(merits.demand) + " of traffic of late");
    if (merits.failures >= 0.5) {
        const auto failures = std::lround(merits.failures);
        add(std::to_string(failures) + (failures == 1 ? " failure" : " failures") + " of late");
    }
    if (merits.nat != Nat::Unknown && merits.nat != Nat::None)
        add(std::string(name_of(merits.nat)) + " NAT");
    if (merits.links > links_without_load) add(std::to_string(merits.links) + " links");
    if (merits.full && !merits.linked) add("no room there");
    if (merits.lifeline) add("it has few other links");
    return out;
}

}  // namespace fortros::mesh
