// What the maintainer tells of itself: as JSON, which `fortros-maintainer status` shows to people, and as
// numbers for a collector. Pure: it is given everything that it tells.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "core/handoff.h"
#include "core/json.h"
#include "core/overlay_state.h"
#include "maintainer/membership.h"
#include "mesh/members.h"
#include "mesh/mesh.h"

namespace fortros {

// Of those that are no peers so many are named, with the reason.
inline constexpr std::size_t reported_others = 64;

struct ReportInputs {
    const HandOff& hand_off;
    const std::vector<InterfaceState>& have;
    const mesh::Members& members;
    const mesh::WantedOverlay& wanted;
    std::vector<mesh::PeerReport> peers{};
    MembershipStatus membership{};
    std::optional<MembershipStatus> serf{};  // where it is an engine, too
    std::size_t claims = 0;                  // that wait to be checked
    std::size_t refused = 0;                 // that were no good
    std::uint64_t document_serial = 0;
    std::uint64_t datagrams_sent = 0, datagrams_received = 0, datagrams_refused = 0,
                  datagrams_failed = 0;
    std::vector<std::string> warnings{};
    std::size_t changes = 0;  // of the last round that had some
    Instant now{};
    WallTime wall{};
};

Json status_of(const ReportInputs& in);

// For people, of the JSON above. Nothing of it is needed: what is missing is left out.
std::string status_text(const Json& status);

// OpenMetrics, of the JSON above.
std::string metrics_text(const Json& status);

}  // namespace fortros
