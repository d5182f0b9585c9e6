// The settings of fortros-maintainer: /etc/fortros/maintainer.conf, which need not be there. Text in, a
// checked value out; an unknown section or key is an error with its line.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "core/address.h"

namespace fortros {

inline constexpr std::string_view default_maintainer_settings = "/etc/fortros/maintainer.conf";

// Serf: beside the gateways' feed, which alone has the org's document.
enum class Engine { Gateway, Serf };

struct MaintainerSettings {
    // [Membership]
    Engine engine = Engine::Gateway;  // Engine=

    // [Serf]
    Endpoint serf_agent{*IpAddress::parse("127.0.0.1"), 7373};  // Agent=, its RPC listener
    std::string serf_key_file = "/etc/fortros/serf.key";        // KeyFile=

    // [Mesh]
    bool metered = false;  // Metered=, the uplink costs by the byte: half the peers, no keepalive

    bool operator==(const MaintainerSettings&) const = default;
};

// `file` is only for error messages.
Result<MaintainerSettings> parse_maintainer_settings(std::string_view text, std::string_view file);

}  // namespace fortros
