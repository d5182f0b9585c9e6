// What an operator watches of a gateway, as values of one moment, and their names and meanings for
// Prometheus. It counts answers; everything else it is told.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "core/exposition.h"
#include "gateway/exchange.h"

namespace fortros::gateway {

// What nodes were answered since the start. Strangers can't make it grow: of targets, statuses and
// codes there are few.
class AnswerCounts {
public:
    // `target` as it was asked for, its query included.
    void add(std::string_view target, const Answer& answer);

    MetricFamily by_target() const;
    MetricFamily by_refusal() const;
    std::int64_t of(Progress progress) const;

private:
    std::map<std::pair<std::string_view, int>, std::int64_t> m_by_target{};
    std::map<RefusalCode, std::int64_t> m_by_refusal{};
    std::map<Progress, std::int64_t> m_by_progress{};
};

// One thing that must be so for a gateway to do its work.
struct Check {
    std::string name;       // a word
    std::string problem{};  // empty: it is so
};

// A certificate file, which is good for as long as each certificate in it.
struct CertificateEnd {
    std::string file;
    WallTime not_after{};
};

using CountByName = std::vector<std::pair<std::string, std::int64_t>>;

// What only whoever has the sockets knows.
struct ConnectionNumbers {
    AnswerCounts answers{};
    std::int64_t accepted = 0;
    std::int64_t handshakes = 0;
    CountByName failures{};  // by reason
    CountByName by_state{};  // now
    std::int64_t door_waiting = 0;
};

struct Metrics {
    using Count = std::int64_t;

    WallTime started{};
    ConnectionNumbers connections{};
    Count write_queue = 0;
    Count feed_pollers = 0;

    // Absent while the registry can't be asked.
    std::optional<Count> members{};
    std::optional<Count> waiting_for_approval{};
    std::optional<Count> registry_revision{};
    Count applied_revision = 0;
    Count wireguard_peers = 0;

    std::vector<CertificateEnd> certificates{};
    std::vector<Check> checks{};
    CountByName failures{};  // of chores, by which
    Count reloads = 0;       // that were asked for
    bool reload_successful = true;
    WallTime credentials_loaded{};
};

std::vector<MetricFamily> families_of(const Metrics& metrics);

}  // namespace fortros::gateway
