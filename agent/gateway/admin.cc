#include "gateway/admin_parts.h"

#include <unistd.h>

#include "gateway/credentials.h"
#include "gateway/open_registry.h"
#include "gateway/relay.h"
#include "os/clock.h"

namespace fortros::gateway {

std::unexpected<Failure> failure(ExitCode code, std::string what) {
    const auto error_code =
        code == ExitCode::NotFound ? ErrorCode::NotFound : ErrorCode::InvalidArgument;
    return std::unexpected(Failure{code, Error{error_code, std::move(what)}});
}

Outcome<std::unique_ptr<Registry>> open_registry(const GatewaySettings& settings) {
    return or_exit(ExitCode::Database, open_registry(settings, RegistryUser::Command));
}

Actor actor() { return "uid " + std::to_string(::getuid()); }

std::string text_of(const std::optional<WallTime>& time) { return time ? to_rfc3339(*time) : ""; }

Json json_of(const std::optional<WallTime>& time) {
    return time ? Json(to_rfc3339(*time)) : Json();
}

// NOLINTNEXTLINE(clang-analyzer-cplusplus.NewDeleteLeaks): it loses sight of a moved unique_ptr
Said say(std::string_view text) { return {.out = SecretBytes(text)}; }
Said say_list(const Json& list) { return say(list.dump(2) + "\n"); }

Outcome<Said> check_config(const Arguments&, const GatewaySettings& settings) {
    const auto credentials = TRY(or_exit(ExitCode::Credentials, load_credentials(settings)));
    const auto now = wall_now();
    std::string text;
    text += "gateway          " + settings.name + "\n";
    for (const auto& endpoint : settings.listen)
        text += "for nodes        " + endpoint.text() + "\n";
    for (const auto& address : settings.operate_listen)
        text += "for operators    " + text_of(address) + "\n";
    text += "registry         " +
            (settings.etcd.endpoints.empty() ? settings.database : std::string("etcd")) + "\n";
    text += "overlay prefix   " + settings.prefix.text() + "\n";
    text += "overlay address  " +
            overlay_address(settings.prefix, credentials.wireguard_public).text() + "\n";
    text += "WireGuard key    " + credentials.wireguard_public.base64() + "\n";
    if (const auto& previous = credentials.previous)
        text += "previous key     " + previous->public_key.base64() + ", at " +
                overlay_address(settings.prefix, previous->public_key).text() + ", port " +
                std::to_string(settings.previous_listen_port) + "\n";
    bool usable = true;
    for (const auto& validity : credentials.validities) {
        const auto state = state_of(validity, now);
        usable = usable && state != ValidityState::Expired && state != ValidityState::NotYetValid;
        text += describe(validity, now) + "\n";
    }
    for (const auto& warning : credentials.warnings) text += "warning: " + warning + "\n";
    if (const auto problem = settings.manage ? relay_problem(settings) : ""; !problem.empty())
        text += "warning: " + problem + "\n";
    if (!usable)
        return failure(ExitCode::Credentials, "a certificate is not valid at this time:\n" + text);
    return say(text);
}

}  // namespace fortros::gateway
