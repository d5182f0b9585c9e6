#include "preboot/prepare.h"

#include "base/encoding.h"
#include "core/clock_rule.h"
#include "core/messages.h"
#include "os/clock.h"
#include "os/files.h"

namespace fortros {

static constexpr std::size_t kernel_command_line_limit = 65536;
static constexpr std::size_t invite_file_limit = 4096;

static std::unexpected<Failure> failure(ExitStatus status, Error error) {
    return std::unexpected(Failure{status, std::move(error)});
}

Prepared<Settings> prepare_settings(const PrebootOptions& options) {
    auto text = read_file(options.config, settings_file_limit);
    if (!text) return failure(ExitStatus::SettingsInvalid, std::move(text).error());
    auto settings = parse_settings(*text, options.config);
    if (!settings) return failure(ExitStatus::SettingsInvalid, std::move(settings).error());
    if (!options.kernel_command_line) return std::move(*settings);
    auto words = read_file(*options.kernel_command_line, kernel_command_line_limit);
    if (!words) return failure(ExitStatus::SettingsInvalid, std::move(words).error());
    auto narrowed = narrow_by_command_line(std::move(*settings), *words);
    if (!narrowed) return failure(ExitStatus::SettingsInvalid, std::move(narrowed).error());
    return std::move(*narrowed);
}

Prepared<std::unique_ptr<TrustAnchors>> prepare_anchors(const Settings& settings) {
    auto anchors = TrustAnchors::load(settings.ca_file);
    if (!anchors) return failure(ExitStatus::TrustAnchorInvalid, std::move(anchors).error());
    return std::move(*anchors);
}

Prepared<SecretBytes> prepare_invite(const Settings& settings) {
    auto file = read_secret_file(settings.invite_file, invite_file_limit);
    if (!file) {
        if (file.error().code == ErrorCode::NotFound) return SecretBytes{};
        return failure(ExitStatus::InviteMissing, std::move(file).error());
    }
    auto invite = parse_invite(file->text());
    if (!invite)
        return failure(ExitStatus::InviteMissing,
                       std::move(invite).error().in("'" + settings.invite_file + "'"));
    return std::move(*invite);
}

ImageFiles read_image_files(const PrebootOptions& options, const Settings& settings) {
    return {.settings = read_file(options.config, settings_file_limit).value_or(""),
            .ca = read_file(settings.ca_file, TrustAnchors::file_limit).value_or("")};
}

Stores prepare_stores(const Settings& settings, Log& log) {
    Stores stores;
    stores.variables = std::make_unique<FirmwareVariables>();
    stores.key = make_key_store(settings.key_store, *stores.variables, log);
    stores.state = make_state_store(settings.state_store, *stores.variables, log);
    return stores;
}

std::optional<NodeState> prepare_state(StateStore& store, Log& log) {
    const auto warn = [&](const Error& error) {
        log.write({.level = Level::Warning,
                   .event = "state-unreadable",
                   .message = store.place() + " is not used: " + error.text()});
        return std::nullopt;
    };
    const auto bytes = store.load();
    if (!bytes) return warn(bytes.error());
    if (!*bytes) return std::nullopt;
    auto state = decode_state(**bytes);
    if (!state) return warn(state.error());
    return std::move(*state);
}

ClockVerdict clock_verdict(const Settings& settings, const TrustAnchors& anchors,
                           const std::optional<NodeState>& state) {
    ClockEvidence evidence{.rtc = wall_now(),
                           .build_time = settings.build_time,
                           .ca_not_before = anchors.newest_not_before(),
                           .ca_not_after = anchors.latest_not_after(),
                           .window = settings.rtc_window};
    if (state && state->enrolled) evidence.remembered = state->clock_floor;
    return judge_clock(evidence);
}

ClockVerdict prepare_clock(const Settings& settings, const TrustAnchors& anchors,
                           const std::optional<NodeState>& state, Log& log) {
    const WallTime rtc = wall_now();
    const ClockVerdict verdict = clock_verdict(settings, anchors, state);
    if (rtc >= verdict.floor) return verdict;
    log.write({.level = Level::Warning,
               .event = "clock-before-floor",
               .message = "the clock says " + to_rfc3339(rtc) + ", which is before " +
                          to_rfc3339(verdict.floor) + "; it is set to the latter for now"});
    if (Status status = set_wall_clock(verdict.now); !status)
        log.write(
            {.level = Level::Warning, .event = "clock-not-set", .message = status.error().text()});
    return verdict;
}

void enter_cage(const Cage& cage, Log& log) {
    if (Status status = confine(cage); !status)
        log.write(
            {.level = Level::Warning,
             .event = "not-confined",
             .message = "the agent runs with more rights than it needs: " + status.error().text()});
}

std::string make_boot_id(Random& random) {
    ByteArray<16> bytes;
    random.fill(bytes);
    return to_hex(bytes);
}

}  // namespace fortros
