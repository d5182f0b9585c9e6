#include "maintainer/settings.h"

#include "core/ini.h"
#include "core/setting_values.h"

namespace fortros {

static Result<Engine> engine_setting(std::string_view text) {
    return choice_setting<Engine>(text, {{"gateway", Engine::Gateway}, {"serf", Engine::Serf}});
}

// Who can write there decides what the maintainer hears, so it is on this host.
static Result<Endpoint> serf_agent_setting(std::string_view text) {
    const auto endpoint = Endpoint::parse(text);
    if (!endpoint || !endpoint->address.is_loopback())
        return not_a("an address and port of this host (127.0.0.1:7373)", text);
    return *endpoint;
}

using M = MaintainerSettings;

static constexpr IniKey<M> keys[] = {
    {"Membership", "Engine", assign_setting<&M::engine, engine_setting>},
    {"Serf", "Agent", assign_setting<&M::serf_agent, serf_agent_setting>},
    {"Serf", "KeyFile", assign_setting<&M::serf_key_file, path_setting>},
    {"Mesh", "Metered", assign_setting<&M::metered, boolean_setting>},
};

Result<MaintainerSettings> parse_maintainer_settings(std::string_view text, std::string_view file) {
    MaintainerSettings settings;
    TRY(read_ini<MaintainerSettings>(text, file, keys, settings));
    return settings;
}

}  // namespace fortros
