// fortros-preboot: brings a node from firmware into its overlay, once, before its root is mounted.
#include <sys/reboot.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <span>

#include "core/crypto.h"
#include "core/exit_status.h"
#include "os/clock.h"
#include "os/files.h"
#include "os/log_sink.h"
#include "os/random.h"
#include "preboot/boot.h"
#include "preboot/options.h"
#include "preboot/prepare.h"
#include "preboot/probe.h"
#include "preboot/shell.h"
#include "preboot/tell.h"

namespace fortros {

static constexpr const char* version = "fortros-preboot " FORTROS_VERSION;

static ExitStatus fail_with(Log& log, const Failure& failure) {
    log.write({.level = Level::Error,
               .event = "finished",
               .message = std::string(name_of(failure.status)) + " (exit status " +
                          std::to_string(static_cast<int>(failure.status)) +
                          "): " + failure.error.text(),
               .fields = {{"status", static_cast<std::int64_t>(failure.status)},
                          {"cause", std::string(name_of(failure.status))}}});
    return failure.status;
}

// libefivar has looked for its variables before main; where efivarfs was mounted only now it must
// look again, which it does in a new life of this program.
static void begin_again(char** arguments) {
    ::execv("/proc/self/exe", arguments);
    std::fprintf(stderr, "fortros-preboot: cannot start again after mounting efivarfs: errno %d\n",
                 errno);
}

static Status ready_efivarfs(const Settings& settings, char** arguments) {
    if (settings.key_store.kind != StoreKind::Uefi && settings.state_store.kind != StoreKind::Uefi)
        return {};
    if (TRY(ensure_efivarfs()) == EfivarfsState::Fresh) begin_again(arguments);
    return {};
}

static void report_resources(Log& log) {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto milliseconds = [](const timeval& time) {
        return static_cast<std::int64_t>(time.tv_sec * 1000 + time.tv_usec / 1000);
    };
    const std::int64_t cpu = milliseconds(usage.ru_utime) + milliseconds(usage.ru_stime);
    log.write({.level = Level::Info,
               .event = "resources",
               .message = "peak memory " + std::to_string(usage.ru_maxrss) + " KiB, CPU " +
                          std::to_string(cpu) + " ms",
               .fields = {{"peak_rss_kib", std::int64_t{usage.ru_maxrss}}, {"cpu_ms", cpu}}});
}

static ExitStatus boot(const PrebootOptions& options, char** arguments, PrebootLog& log) {
    const Instant began = monotonic_now();
    auto settings = prepare_settings(options);
    if (!settings) return fail_with(log, settings.error());
    log.show_debug(settings->debug);
    if (Status status = ready_efivarfs(*settings, arguments); !status)
        log.write(
            {.level = Level::Warning, .event = "no-efivarfs", .message = status.error().text()});
    if (Status status = make_directory(options.run_directory, 0755); !status)
        return fail_with(log, {ExitStatus::HandOffFailed, std::move(status).error()});
    log.open_events(options.run_directory + "/" + std::string(events_file));

    auto anchors = prepare_anchors(*settings);
    if (!anchors) return fail_with(log, anchors.error());
    auto invite = prepare_invite(*settings);
    const ImageFiles image = read_image_files(options, *settings);
    Stores stores = prepare_stores(*settings, log);
    // What is read above is the image's own; what follows comes from flash and from the network.
    enter_cage({.capabilities = capabilities_of_a_boot(settings->on_failure),
                .on_failure = settings->on_failure,
                .events = options.run_directory + "/" + std::string(events_file)},
               log);
    const Instant settings_read = monotonic_now();

    if (Status status = wait_for_entropy(log); !status)
        return fail_with(log, {ExitStatus::Internal, std::move(status).error()});
    if (Status status = crypto::initialise(); !status)
        return fail_with(log, {ExitStatus::Internal, std::move(status).error()});
    auto key = stores.key->load();
    if (!key) return fail_with(log, {ExitStatus::KeyStoreFailed, std::move(key).error()});
    auto state = prepare_state(*stores.state, log);
    const ClockVerdict clock = prepare_clock(*settings, **anchors, state, log);

    auto loop = Loop::create();
    if (!loop) return fail_with(log, {ExitStatus::Internal, std::move(loop).error()});
    KernelRandom random;
    Boot machine({.settings = *settings,
                  .clock = clock,
                  .key = std::move(*key),
                  .state = std::move(state),
                  .invite = invite ? std::move(*invite) : SecretBytes{},
                  .invite_problem = invite ? "" : invite.error().error.text(),
                  .boot_id = make_boot_id(random),
                  .agent = version,
                  .settings_digest = crypto::sha256({as_bytes(image.settings)}),
                  .ca_digest = crypto::sha256({as_bytes(image.ca)}),
                  .authorities = (*anchors)->certificates(),
                  .settings_took = settings_read - began,
                  .clock_took = monotonic_now() - settings_read},
                 random, **anchors);
    Shell shell({**loop, log, random, **anchors, *stores.key, *stores.state, options.run_directory},
                std::move(*settings), machine);
    return shell.run();
}

static OnFailure wanted_on_failure(const PrebootOptions& options) {
    const auto settings = prepare_settings(options);
    return settings ? settings->on_failure : OnFailure::Exit;
}

static int run(PrebootOptions options, char** arguments) {
    if (!options.kernel_command_line) options.kernel_command_line = "/proc/cmdline";
    PrebootLog log;
    const ExitStatus status = boot(options, arguments, log);
    report_resources(log);
    if (status == ExitStatus::Joined) return 0;
    log.write({.level = Level::Notice, .event = "advice", .message = explain(status)});
    switch (wanted_on_failure(options)) {
        case OnFailure::Exit: break;
        case OnFailure::Reboot:
            log.write({.level = Level::Notice,
                       .event = "reboot",
                       .message = "OnFailure=reboot: restarting the machine"});
            ::sync();
            ::reboot(RB_AUTOBOOT);
            break;
        case OnFailure::Hold:
            log.write({.level = Level::Notice,
                       .event = "hold",
                       .message = "OnFailure=hold: waiting for somebody to look"});
            while (true) ::pause();
    }
    return static_cast<int>(status);
}

// What a boot would do before it asks for anything, but for the clock: it is judged and not set.
static Prepared<ProbeReport> probe_with(const PrebootOptions& options, char** arguments, Log& log) {
    auto settings = TRY(prepare_settings(options));
    if (Status status = ready_efivarfs(settings, arguments); !status)
        log.write(
            {.level = Level::Warning, .event = "no-efivarfs", .message = status.error().text()});
    const auto anchors = TRY(prepare_anchors(settings));
    const auto invite = prepare_invite(settings);
    Stores stores = prepare_stores(settings, log);
    enter_cage({.capabilities = capabilities_of_a_probe()}, log);
    const auto internal = [](Error error) {
        return std::unexpected(Failure{ExitStatus::Internal, std::move(error)});
    };
    if (Status status = crypto::initialise(); !status) return internal(status.error());
    auto key = stores.key->load();
    if (!key) return std::unexpected(Failure{ExitStatus::KeyStoreFailed, key.error()});
    std::optional<PublicKey> public_key;
    if (*key) {
        auto derived = crypto::public_key_of(**key);
        if (!derived) return std::unexpected(Failure{ExitStatus::KeyStoreFailed, derived.error()});
        public_key = *derived;
    }
    auto loop = Loop::create();
    if (!loop) return internal(loop.error());
    KernelRandom random;
    const auto state = prepare_state(*stores.state, log);
    const ClockVerdict clock = clock_verdict(settings, *anchors, state);
    Probe machine({.settings = settings,
                   .state = state,
                   .key = public_key,
                   .has_invite = invite && !invite->empty(),
                   .clock = clock});
    Shell shell({.loop = **loop,
                 .log = log,
                 .random = random,
                 .anchors = *anchors,
                 .key_store = *stores.key,
                 .state_store = *stores.state,
                 .run_directory = options.run_directory},
                std::move(settings), machine);
    if (shell.run() == ExitStatus::Internal)
        return internal({ErrorCode::Internal, "the event loop failed: see above"});
    return machine.report();
}

static int probe(PrebootOptions options, char** arguments) {
    if (!options.kernel_command_line) options.kernel_command_line = "/proc/cmdline";
    StderrLog log("fortros-preboot");
    const auto report = probe_with(options, arguments, log);
    if (!report) return static_cast<int>(fail_with(log, report.error()));
    const std::string text = options.json ? to_json(*report).dump(2) + "\n" : to_text(*report);
    std::fputs(text.c_str(), stdout);
    return static_cast<int>(report->status());
}

static int preboot_main(int count, char** arguments) {
    forbid_core_dumps();
    const auto options = parse_preboot_options(
        std::span<const char* const>(arguments, static_cast<std::size_t>(count)).subspan(1));
    if (!options) {
        std::fprintf(stderr, "fortros-preboot: %s\n", options.error().text().c_str());
        return static_cast<int>(ExitStatus::Usage);
    }
    switch (options->verb) {
        case PrebootOptions::Verb::Help: std::fputs(preboot_help.data(), stdout); return 0;
        case PrebootOptions::Verb::Version: std::puts(version); return 0;
        case PrebootOptions::Verb::CheckConfig: return check_config(*options);
        case PrebootOptions::Verb::Report: return report(*options);
        case PrebootOptions::Verb::Explain: return explain(*options);
        case PrebootOptions::Verb::Probe: return probe(*options, arguments);
        case PrebootOptions::Verb::Run: return run(*options, arguments);
    }
    return static_cast<int>(ExitStatus::Internal);
}

}  // namespace fortros

int main(int count, char** arguments) { return fortros::preboot_main(count, arguments); }
