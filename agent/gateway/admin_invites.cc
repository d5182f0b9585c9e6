// The admin commands about invites.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "core/setting_values.h"
#include "core/table.h"
#include "gateway/admin_parts.h"
#include "os/clock.h"
#include "os/files.h"
#include "os/random.h"

namespace fortros::gateway {

static constexpr std::uint32_t uses_limit = 100'000;
static constexpr mode_t invite_file_mode = 0600;

static SecretBytes concat(std::initializer_list<std::string_view> parts) {
    std::size_t size = 0;
    for (auto part : parts) size += part.size();
    SecretBytes all(size);
    auto out = all.writable().begin();
    for (auto part : parts) out = std::ranges::copy(as_bytes(part), out).out;
    return all;
}

static Json to_json(const InviteRecord& invite, WallTime now) {
    Json json{Json::Object{}};
    json.set("id", invite.id);
    json.set("state", name_of(state_of(invite, now)));
    json.set("uses", invite.uses);
    json.set("used", invite.used);
    json.set("waiting", invite.waiting);
    json.set("approval", invite.approval == Approval::Needed);
    json.set("role", name_of(invite.role));
    json.set("hostname", invite.hostname);
    json.set("created", json_of(invite.created));
    json.set("expires", json_of(invite.expires));
    json.set("revoked", json_of(invite.revoked));
    return json;
}

// The invite of one machine is in one place; one for several is wherever the image is.
static Result<Approval> approval_of(const Arguments& arguments, const GatewaySettings& settings,
                                    std::uint32_t uses) {
    ApprovalRule rule = settings.approval;
    if (auto text = arguments.value("--approval"))
        rule = TRY(boolean_setting(*text)) ? ApprovalRule::Always : ApprovalRule::Never;
    const bool needed =
        rule == ApprovalRule::Always || (rule == ApprovalRule::SeveralUses && uses > 1);
    return needed ? Approval::Needed : Approval::NotNeeded;
}

static Result<NewInvite> new_invite(const Arguments& arguments, const GatewaySettings& settings,
                                    WallTime now) {
    NewInvite invite;
    if (auto uses = arguments.value("--uses"))
        invite.uses = TRY(number_setting(*uses, 1, uses_limit));
    invite.approval = TRY(approval_of(arguments, settings, invite.uses));
    Duration lifetime = settings.invite_lifetime;
    if (auto expires = arguments.value("--expires"))
        lifetime = TRY(duration_setting(*expires, 1min, 366 * one_day));
    invite.expires = now + std::chrono::duration_cast<std::chrono::seconds>(lifetime);
    // A gateway is vouched for by the CA, not by an invite.
    if (auto role = arguments.value("--role"))
        invite.role = TRY(
            choice_setting<Role>(*role, {{"node", Role::Node}, {"lighthouse", Role::Lighthouse}}));
    if (auto hostname = arguments.value("--hostname"))
        invite.hostname = TRY(host_name_setting(*hostname));
    if (!invite.hostname.empty() && invite.uses > 1)
        return fail(ErrorCode::InvalidArgument,
                    "--hostname is for one machine, and --uses for several");
    return invite;
}

// The file first: one that is there already, or can't be written, costs no invite. And an invite that
// the registry does not take leaves no file that looks like one.
static Outcome<InviteRecord> register_invite(Registry& registry, const NewInvite& wanted,
                                             const SecretBytes& invite,
                                             const std::optional<std::string>& file, WallTime now) {
    if (file) {
        const auto line = concat({invite.text(), "\n"});
        TRY(or_exit(ExitCode::Failure, write_new_file(*file, line.view(), invite_file_mode)));
    }
    auto record = registry.create_invite(wanted, actor(), now);
    if (!record && file) ::unlink(file->c_str());
    return or_exit(ExitCode::Database, std::move(record));
}

static std::string note_of(const InviteRecord& invite) {
    return "invite " + invite.id + ": " +
           (invite.uses == 1 ? "one use" : std::to_string(invite.uses) + " uses") +
           (invite.approval == Approval::Needed ? ", each to be approved" : "") + ", expires " +
           to_rfc3339(invite.expires) + "\n";
}

Outcome<Said> create_invite(const Arguments& arguments, const GatewaySettings& settings) {
    const auto now = wall_now();
    auto wanted = TRY(or_exit(ExitCode::Usage, new_invite(arguments, settings, now)));
    auto registry = TRY(open_registry(settings));
    KernelRandom random;
    const auto invite = make_invite(random);
    wanted.hash = hash_of_invite(invite.view());
    const auto file = arguments.value("--output");
    const auto record = TRY(register_invite(*registry, wanted, invite, file, now));

    Said said{.note = note_of(record)};
    if (file) {
        said.note += "it is in '" + *file + "' and nowhere else\n";
        if (arguments.has("--json")) said.out = concat({to_json(record, now).dump(), "\n"});
    } else if (arguments.has("--json")) {
        const std::string rest = to_json(record, now).dump();
        said.out = concat({R"({"invite":")", invite.text(), R"(",)", rest.substr(1), "\n"});
    } else {
        said.note += "it is shown this once only:\n";
        said.out = concat({invite.text(), "\n"});
    }
    return said;
}

Outcome<Said> list_invites(const Arguments& arguments, const GatewaySettings& settings) {
    const auto now = wall_now();
    auto registry = TRY(open_registry(settings));
    const auto invites = TRY(or_exit(ExitCode::Database, registry->invites(now)));
    if (arguments.has("--json")) {
        Json list{Json::Array{}};
        for (const auto& invite : invites) list.push(to_json(invite, now));
        return say_list(list);
    }
    std::vector<std::vector<std::string>> rows;
    rows.reserve(invites.size());
    for (const auto& invite : invites)
        rows.push_back({invite.id, std::string(name_of(state_of(invite, now))),
                        std::to_string(invite.used) + "/" + std::to_string(invite.uses),
                        std::to_string(invite.waiting),
                        invite.approval == Approval::Needed ? "yes" : "no",
                        std::string(name_of(invite.role)), invite.hostname, text_of(invite.created),
                        text_of(invite.expires)});
    return say(to_table(
        {"ID", "STATE", "USED", "WAITING", "APPROVAL", "ROLE", "HOSTNAME", "CREATED", "EXPIRES"},
        rows));
}

Outcome<Said> revoke_invite(const Arguments& arguments, const GatewaySettings& settings) {
    const std::string& id = arguments.words[0];
    if (!is_invite_id(id))
        return failure(ExitCode::Usage, "'" + printable(id, 40) +
                                            "' is no invite's id: see fortros-gateway invite list");
    auto registry = TRY(open_registry(settings));
    const auto invite = TRY(changed(registry->revoke_invite(id, actor(), wall_now())));
    return Said{.note = "invite " + id + " is revoked; nodes that came with it stay (" +
                        std::to_string(invite.used) + ")\n"};
}

}  // namespace fortros::gateway
