#include "maintainer/keeper.h"

#include "maintainer/adoption.h"
#include "os/clock.h"
#include "os/files.h"
#include "os/guard.h"

namespace fortros {

void Keeper::round() {
    if (Status status = reconcile(); !status)
        m_log.write(
            {.level = Level::Warning, .event = "round-failed", .message = status.error().text()});
}

Status Keeper::reconcile() {
    if (m_hand_off.guard == GuardMode::Nftables && !TRY(guard_is_installed())) {
        TRY(install_guard(m_hand_off.prefix));
        m_log.write({.level = Level::Notice,
                     .event = "repaired",
                     .message = "the guard against plaintext overlay packets was gone"});
    }
    // Somebody else's key on an interface is not ours to overwrite.
    TRY(check_adoptable(m_hand_off, TRY(m_links.observe())));
    const auto applied = TRY(m_links.apply(plan_of(m_hand_off), m_key));
    report(applied);
    const auto have = TRY(m_links.observe());
    const Json status = status_of(m_hand_off, have, applied.changes.size(), wall_now());
    return write_file(m_directory + "/" + std::string(status_file), as_bytes(status.dump(2) + "\n"),
                      0600);
}

void Keeper::report(const OverlayLinks::Applied& applied) {
    for (const auto& change : applied.changes)
        m_log.write({.level = Level::Notice, .event = "repaired", .message = change.text()});
    if (m_adopted) return;
    m_adopted = true;
    std::string names;
    for (const auto& interface : applied.interfaces)
        names += (names.empty() ? "" : ", ") + interface.plan.name;
    m_log.write({.level = Level::Info,
                 .event = "adopted",
                 .message = "adopted " + names + " as " + m_hand_off.overlay_address.text() + ", " +
                            std::to_string(applied.changes.size()) + " changes",
                 .fields = {{"changes", static_cast<std::int64_t>(applied.changes.size())}}});
}

}  // namespace fortros
