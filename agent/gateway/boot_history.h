// The boots that a member has lately spoken from. A boot id is random and new for every boot: a
// machine never comes back to one that it has left, so a key that does is used by two. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fortros::gateway {

class BootHistory {
public:
    enum class Sight {
        First,    // of this key, since we count
        Same,     // the boot that has spoken last
        New,      // a machine has booted since
        Returned  // A, B, A: two machines take turns
    };
    Sight see(std::string_view boot_id);

private:
    std::vector<std::string> m_boots{};  // the newest first
};

}  // namespace fortros::gateway
