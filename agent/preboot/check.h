// What would fail at boot, found before it: settings, pinned CA, invite and stores held against each
// other. Pure: what is seen on the machine that judges comes in as facts. It tells of what can be known
// there, and takes nothing for wrong that only is not there yet.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "core/exit_status.h"
#include "core/settings.h"

namespace fortros {

// A folder that a file: store is in, as it is here.
enum class StoreFolder {
    Absent,    // perhaps it is mounted before the agent starts
    Good,      //
    NotRoots,  // of another owner, or others may write there
};

struct CheckFacts {
    WallTime now{};
    std::size_t anchors = 1;
    WallTime newest_not_before{};  // of the pinned CA certificates
    WallTime latest_not_after{};
    bool has_invite = false;
    bool invite_is_public = false;                 // others than its owner may read it
    StoreFolder key_folder = StoreFolder::Good;    // with KeyStore=file:
    StoreFolder state_folder = StoreFolder::Good;  // with StateStore=file:
    std::vector<std::string> links{};              // of this machine; empty: not looked
    std::optional<OrgPrefix> remembered_prefix{};  // of a state that this machine has
};

struct Finding {
    enum class Kind {
        Error,    // a boot must fail, with `status`
        Warning,  // a boot may fail, or something is not as safe as it could be
        Hint,     // only seen here; on the node it may be otherwise
    };
    Kind kind = Kind::Hint;
    ExitStatus status = ExitStatus::Joined;
    std::string what{};
    std::string act{};  // what to do about it
};

// The worst first.
std::vector<Finding> check(const Settings& settings, const CheckFacts& facts);

// The status of the first error; Joined where there is none.
ExitStatus status_of(const std::vector<Finding>& findings);
std::string to_text(const std::vector<Finding>& findings);

}  // namespace fortros
