// What fortros-preboot was asked to do on its own command line. It reads no file; secrets are never
// taken from arguments, where everybody could see them.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "core/handoff.h"
#include "core/settings.h"

namespace fortros {

struct PrebootOptions {
    enum class Verb { Run, Probe, CheckConfig, Report, Explain, Help, Version };
    Verb verb = Verb::Run;
    std::string config{default_settings_path};
    // Absent: /proc/cmdline for run, none for check-config, which judges an image and not this boot.
    std::optional<std::string> kernel_command_line{};
    std::string run_directory{fortros::run_directory};
    bool json = false;        // of probe
    std::string events{};     // of report; empty: in the run directory
    std::string svg{};        // of report; empty: as text
    std::string explained{};  // of explain; empty: all
};

extern const std::string_view preboot_help;

// InvalidArgument with a hint for anything that is not understood.
Result<PrebootOptions> parse_preboot_options(std::span<const char* const> arguments);

}  // namespace fortros
