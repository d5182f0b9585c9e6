// The admin commands for the audit log: audit show and audit verify.
#include "base/text.h"
#include "core/table.h"
#include "gateway/admin_parts.h"
#include "gateway/audit_chain.h"

namespace fortros::gateway {

static constexpr std::uint32_t default_limit = 50;
static constexpr std::uint32_t largest_limit = 100'000;

static Json to_json(const AuditEntry& entry) {
    Json json{Json::Object{}};
    json.set("number", static_cast<std::int64_t>(entry.number));
    json.set("time", to_rfc3339(entry.time));
    json.set("event", entry.event);
    json.set("actor", entry.actor);
    json.set("node", entry.node ? Json(entry.node->base64()) : Json());
    json.set("invite", entry.invite);
    json.set("detail", entry.detail);
    return json;
}

static Outcome<std::uint32_t> limit_from(const Arguments& arguments) {
    const auto text = arguments.value("--limit");
    if (!text) return default_limit;
    const auto limit = parse_number<std::uint32_t>(*text);
    if (!limit || *limit == 0 || *limit > largest_limit)
        return failure(ExitCode::Usage,
                       "--limit: not a number from 1 to " + std::to_string(largest_limit));
    return *limit;
}

Outcome<Said> show_audit(const Arguments& arguments, const GatewaySettings& settings) {
    const auto limit = TRY(limit_from(arguments));
    auto registry = TRY(open_registry(settings));
    const auto entries = TRY(or_exit(ExitCode::Database, registry->audit(limit)));
    if (arguments.has("--json")) {
        Json list{Json::Array{}};
        for (const auto& entry : entries) list.push(to_json(entry));
        return say_list(list);
    }
    std::vector<std::vector<std::string>> rows;
    rows.reserve(entries.size());
    for (const auto& entry : entries)
        rows.push_back({std::to_string(entry.number), to_rfc3339(entry.time), entry.event,
                        entry.actor,
                        entry.node ? overlay_address(settings.prefix, *entry.node).text() : "",
                        entry.invite, entry.detail});
    return say(to_table({"NUMBER", "TIME", "EVENT", "ACTOR", "OVERLAY ADDRESS", "INVITE", "DETAIL"},
                        rows));
}

Outcome<Said> check_audit(const Arguments& arguments, const GatewaySettings& settings) {
    std::optional<AuditHead> known;
    if (const auto text = arguments.value("--head")) {
        known = audit_head_from(*text);
        if (!known)
            return failure(ExitCode::Usage,
                           "--head: not a number, a colon and 64 hexadecimal digits");
    }
    auto registry = TRY(open_registry(settings));
    const auto verdict = TRY(or_exit(ExitCode::Database, verify_audit(*registry, known)));
    if (verdict.flaw)
        return std::unexpected(Failure{
            ExitCode::Audit, Error{ErrorCode::Untrusted, "the audit log does not fit: entry " +
                                                             std::to_string(verdict.flaw->number) +
                                                             " " + verdict.flaw->what}});
    Said said = say(text_of(verdict.head) + "\n");
    said.note = "all " + std::to_string(verdict.head.number) + " entries fit\n";
    if (verdict.head.unchained > 0)
        said.note += "but the first " + std::to_string(verdict.head.unchained) +
                     " are from before there was a chain: nothing is known of them\n";
    return said;
}

}  // namespace fortros::gateway
