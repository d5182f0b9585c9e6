#include "maintainer/settings.h"

#include "core/ini.h"
#include "core/setting_values.h"

namespace fortros {

static Result<Engine> engine_setting(std::string_view text) {
    return choice_setting<Engine>(text, {{"gateway", Engine::Gateway}});
}

using M = MaintainerSettings;

static constexpr IniKey<M> keys[] = {
    {"Membership", "Engine", assign_setting<&M::engine, engine_setting>},
    {"Mesh", "Metered", assign_setting<&M::metered, boolean_setting>},
};

Result<MaintainerSettings> parse_maintainer_settings(std::string_view text, std::string_view file) {
    MaintainerSettings settings;
    TRY(read_ini<MaintainerSettings>(text, file, keys, settings));
    return settings;
}

}  // namespace fortros
