// The settings of fortros-maintainer: /etc/fortros/maintainer.conf, which need not be there. Text in, a
// checked value out; an unknown section or key is an error with its line.
#pragma once

#include <string_view>

#include "base/result.h"

namespace fortros {

inline constexpr std::string_view default_maintainer_settings = "/etc/fortros/maintainer.conf";

enum class Engine { Gateway };

struct MaintainerSettings {
    // [Membership]
    Engine engine = Engine::Gateway;  // Engine=

    // [Mesh]
    bool metered = false;  // Metered=, the uplink costs by the byte: half the peers, no keepalive

    bool operator==(const MaintainerSettings&) const = default;
};

// `file` is only for error messages.
Result<MaintainerSettings> parse_maintainer_settings(std::string_view text, std::string_view file);

}  // namespace fortros
