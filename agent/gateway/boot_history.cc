#include "gateway/boot_history.h"

#include <algorithm>

namespace fortros::gateway {

// More machines than this, all with one key and in turn, are not told from one that reboots.
static constexpr std::size_t boots_limit = 4;

BootHistory::Sight BootHistory::see(std::string_view boot_id) {
    const auto known = std::ranges::find(m_boots, boot_id);
    if (known == m_boots.end()) {
        const Sight sight = m_boots.empty() ? Sight::First : Sight::New;
        m_boots.emplace(m_boots.begin(), boot_id);
        if (m_boots.size() > boots_limit) m_boots.pop_back();
        return sight;
    }
    if (known == m_boots.begin()) return Sight::Same;
    std::rotate(m_boots.begin(), known, known + 1);
    return Sight::Returned;
}

}  // namespace fortros::gateway
