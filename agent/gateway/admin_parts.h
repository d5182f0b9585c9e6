// What the admin commands share: the registry, who asks, and how values are said. Local to them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "gateway/admin.h"
#include "gateway/registry.h"

namespace fortros::gateway {

std::unexpected<Failure> failure(ExitCode code, std::string what);

// Waits as long as an admin can for the server, or for another admin.
Outcome<std::unique_ptr<Registry>> open_registry(const GatewaySettings& settings);

// What the registry answers to a change of something that may not be there.
template <typename T>
Outcome<T> changed(Result<T> result) {
    const bool missing = !result && result.error().code == ErrorCode::NotFound;
    return or_exit(missing ? ExitCode::NotFound : ExitCode::Database, std::move(result));
}

// The same where a conflict is between two admins, or between an admin and a node that was faster.
template <typename T>
Outcome<T> decided(Result<T> result) {
    if (!result && result.error().code == ErrorCode::Conflict)
        return or_exit(ExitCode::Failure, std::move(result));
    return changed(std::move(result));
}

// By overlay address, by key in either spelling, or by a hostname that only one node has.
Outcome<NodeRecord> find_node(const std::string& text, const std::vector<NodeRecord>& nodes);

Actor actor();

std::string text_of(const std::optional<WallTime>& time);
Json json_of(const std::optional<WallTime>& time);

Said say(std::string_view text);
// For programs the list, for people the table.
Said say_list(const Json& list);

}  // namespace fortros::gateway
