// Keeps the overlay as the hand-off says: observes, compares, sends the difference, reports, again
// and again. Level-triggered: a round knows nothing of the rounds before it. It never ends by
// itself and never takes anything down.
#pragma once

#include <string>
#include <string_view>

#include "base/log.h"
#include "base/result.h"
#include "core/handoff.h"
#include "core/key.h"
#include "os/overlay_links.h"

namespace fortros {

// In the run directory, mode 0600; what `fortros-maintainer status` shows.
inline constexpr std::string_view status_file = "maintainer.json";

class Keeper {
public:
    // `key` is the node's, as the kernel has it; `log` must outlive the keeper.
    Keeper(HandOff hand_off, PrivateKey key, OverlayLinks links, Log& log, std::string directory)
        : m_hand_off(std::move(hand_off)),
          m_key(std::move(key)),
          m_links(std::move(links)),
          m_log(log),
          m_directory(std::move(directory)) {}

    // One round. What fails is logged, and tried again in the next.
    void round();

private:
    Status reconcile();
    void report(const OverlayLinks::Applied& applied);

    HandOff m_hand_off;
    PrivateKey m_key;
    OverlayLinks m_links;
    Log& m_log;
    std::string m_directory;
    bool m_adopted = false;
};

}  // namespace fortros
