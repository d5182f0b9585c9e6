// What the admin commands share: how they open the registry, name their actor, and say things.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "gateway/admin.h"
#include "gateway/sqlite_registry.h"

namespace fortros::gateway {

std::unexpected<Failure> failure(ExitCode code, std::string what);

// Waits for a server or another admin that holds it.
Outcome<std::unique_ptr<SqliteRegistry>> open_registry(const GatewaySettings& settings);

Actor admin_actor();  // "uid 0"
Said say(std::string_view text);

}  // namespace fortros::gateway
