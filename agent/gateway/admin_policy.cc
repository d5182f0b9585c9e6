// The admin commands for the org document: policy show, set and publish.
#include "base/text.h"
#include "core/setting_values.h"
#include "gateway/admin_parts.h"
#include "gateway/credentials.h"
#include "os/clock.h"

namespace fortros::gateway {

static constexpr std::string_view as_image_says = "image";

static std::string text_of(const std::optional<SourceSet>& sources) {
    return sources ? sources->text() : std::string(as_image_says);
}

static Json to_json(const PolicyRecord& policy, const std::vector<PublicKey>& revoked) {
    Json sources;
    if (policy.sources) {
        sources = Json{Json::Array{}};
        for (const auto& word : words_of(policy.sources->text())) sources.push(word);
    }
    Json keys{Json::Array{}};
    for (const auto& key : revoked) keys.push(key.base64());
    Json json{Json::Object{}};
    json.set("serial", std::to_string(policy.serial));
    json.set("sources", std::move(sources));
    json.set("signers_since", to_rfc3339(policy.signers_since));
    json.set("revocations", std::to_string(policy.revocation_number));
    json.set("revoked", std::move(keys));
    return json;
}

Outcome<Said> show_policy(const Arguments& arguments, const GatewaySettings& settings) {
    auto registry = TRY(open_registry(settings));
    const auto policy = TRY(or_exit(ExitCode::Database, registry->policy()));
    const auto revoked = TRY(or_exit(ExitCode::Database, registry->revoked(wall_now())));
    if (arguments.has("--json")) return say_list(to_json(policy, revoked));
    const std::string since =
        policy.signers_since == WallTime{} ? "all" : "since " + to_rfc3339(policy.signers_since);
    return say("serial       " + std::to_string(policy.serial) + "\n" + "prefix       " +
               settings.prefix.text() + "\n" + "domain       " + settings.domain + "\n" +
               "sources      " + text_of(policy.sources) + "\n" + "signers      " + since + "\n" +
               "revocations  " + std::to_string(policy.revocation_number) + ", of which " +
               std::to_string(revoked.size()) + " in the document\n");
}

static Result<std::optional<SourceSet>> sources_from(std::string_view text) {
    if (trim(text) == as_image_says) return std::nullopt;
    SourceSet sources;
    for (const auto& word : words_of(text)) {
        const auto source = source_from(word);
        if (!source)
            return fail(ErrorCode::InvalidArgument,
                        "--sources: '" + printable(word, 40) +
                            "' is none of cached, public-dns, dhcp-dns, and not 'image'");
        sources.add(*source);
    }
    if (sources.empty()) return fail(ErrorCode::InvalidArgument, "--sources names no source");
    return sources;
}

static Outcome<Said> publish(const GatewaySettings& settings, const PolicyChange& change) {
    auto registry = TRY(open_registry(settings));
    auto changed = registry->change_policy(change, actor(), wall_now());
    const bool refused = !changed && changed.error().code == ErrorCode::InvalidArgument;
    const auto policy =
        TRY(or_exit(refused ? ExitCode::Usage : ExitCode::Database, std::move(changed)));
    return Said{.note = "the org document has serial " + std::to_string(policy.serial) +
                        " now; nodes hear of it when they join next\n"};
}

Outcome<Said> set_policy(const Arguments& arguments, const GatewaySettings& settings) {
    PolicyChange change;
    if (auto sources = arguments.value("--sources"))
        change.sources = TRY(or_exit(ExitCode::Usage, sources_from(*sources)));
    if (arguments.has("--disown-older-signers")) {
        const auto credentials = TRY(or_exit(ExitCode::Credentials, load_credentials(settings)));
        change.signers_since = credentials.signer->facts().not_before;
    }
    if (!change.sources && !change.signers_since)
        return failure(ExitCode::Usage,
                       "what shall be set? (see fortros-gateway policy set --help)");
    return publish(settings, change);
}

Outcome<Said> publish_policy(const Arguments&, const GatewaySettings& settings) {
    return publish(settings, {.renew = Renewal::All});
}

}  // namespace fortros::gateway
