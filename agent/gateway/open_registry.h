// Opens the registry that the settings name, whichever store it is in.
#pragma once

#include <memory>

#include "gateway/registry.h"
#include "gateway/settings.h"

namespace fortros::gateway {

// A request must not wait for a store as long as an admin's command can.
enum class RegistryUser { Server, Command };

Result<std::unique_ptr<Registry>> open_registry(const GatewaySettings& settings, RegistryUser user);

}  // namespace fortros::gateway
