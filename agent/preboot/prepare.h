// Stages 1 and 2 of the boot, and what else must be read before the boot machine can start:
// settings, trust anchors, the stores, the invite, the clock. It touches no network.
#pragma once

#include <memory>
#include <string>

#include "base/log.h"
#include "base/random.h"
#include "core/clock_rule.h"
#include "core/exit_status.h"
#include "core/settings.h"
#include "core/state.h"
#include "os/confinement.h"
#include "os/stores.h"
#include "os/trust.h"
#include "preboot/options.h"

namespace fortros {

// An error, and the exit status that it means.
struct Failure {
    ExitStatus status = ExitStatus::Internal;
    Error error;
};

template <typename T>
using Prepared = std::expected<T, Failure>;

// The settings file, narrowed by the kernel command line where the options name one.
Prepared<Settings> prepare_settings(const PrebootOptions& options);

Prepared<std::unique_ptr<TrustAnchors>> prepare_anchors(const Settings& settings);

// Empty where there is no such file: an enrolled node needs none. A file that is there but can't be
// read or is no invite is a failure.
Prepared<SecretBytes> prepare_invite(const Settings& settings);

// The files that decide whom the node trusts, as the image has them. Both have been judged: what
// can't be read again is empty.
struct ImageFiles {
    std::string settings;
    std::string ca;
};
ImageFiles read_image_files(const PrebootOptions& options, const Settings& settings);

struct Stores {
    std::unique_ptr<EfiVariables> variables;
    std::unique_ptr<KeyStore> key;
    std::unique_ptr<StateStore> state;
};
Stores prepare_stores(const Settings& settings, Log& log);

// The state, or nothing where none was kept or what was kept is not sound, with a warning.
std::optional<NodeState> prepare_state(StateStore& store, Log& log);

// Judges the clock.
ClockVerdict clock_verdict(const Settings& settings, const TrustAnchors& anchors,
                           const std::optional<NodeState>& state);
// The same, and sets it where it is before the floor.
ClockVerdict prepare_clock(const Settings& settings, const TrustAnchors& anchors,
                           const std::optional<NodeState>& state, Log& log);

// From here on nothing but what a boot or a probe needs. Where the kernel can't do it all, that is a
// warning and no reason not to boot.
void enter_cage(const Cage& cage, Log& log);

// 32 hexadecimal digits, new for every boot.
std::string make_boot_id(Random& random);

}  // namespace fortros
