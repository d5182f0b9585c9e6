#include "preboot/tell.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/text.h"
#include "core/crypto.h"
#include "core/exit_status.h"
#include "os/clock.h"
#include "os/files.h"
#include "os/log_sink.h"
#include "preboot/check.h"
#include "preboot/prepare.h"
#include "preboot/timeline.h"

namespace fortros {

static int complain(const Failure& failure) {
    std::fprintf(stderr, "fortros-preboot: %s\n", failure.error.text().c_str());
    return static_cast<int>(failure.status);
}

static void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

// --- check-config ---------------------------------------------------------------------------------

static StoreFolder folder_of(const StoreSetting& store) {
    if (store.kind != StoreKind::File) return StoreFolder::Good;
    const std::string folder =
        store.path.substr(0, std::max<std::size_t>(store.path.rfind('/'), 1));
    struct stat status{};
    if (::stat(folder.c_str(), &status) < 0) return StoreFolder::Absent;
    return status.st_uid == 0 && (status.st_mode & 022) == 0 ? StoreFolder::Good
                                                             : StoreFolder::NotRoots;
}

static bool is_public(const std::string& path) {
    struct stat status{};
    return ::stat(path.c_str(), &status) == 0 && (status.st_mode & 077) != 0;
}

static std::vector<std::string> links_here() {
    std::vector<std::string> names;
    const auto table = read_file("/proc/net/dev", std::size_t{256} * 1024);
    for (const auto line : split(table ? std::string_view(*table) : "", '\n'))
        if (const auto colon = line.find(':'); colon != std::string_view::npos)
            if (const auto name = trim(line.substr(0, colon)); name != "lo")
                names.emplace_back(name);
    return names;
}

// Only the settings that this machine itself boots with are its own state's.
static std::optional<OrgPrefix> remembered_prefix(const PrebootOptions& options,
                                                  const Settings& settings) {
    if (options.config != default_settings_path) return std::nullopt;
    StderrLog log("fortros-preboot");
    Stores stores = prepare_stores(settings, log);
    const auto state = prepare_state(*stores.state, log);
    return state && state->enrolled ? state->prefix : std::nullopt;
}

int check_config(const PrebootOptions& options) {
    const auto settings = prepare_settings(options);
    if (!settings) return complain(settings.error());
    if (Status status = crypto::initialise(); !status)
        return complain({ExitStatus::Internal, status.error()});
    const auto anchors = prepare_anchors(*settings);
    if (!anchors) return complain(anchors.error());
    const auto invite = prepare_invite(*settings);
    if (!invite) return complain(invite.error());

    const auto findings =
        check(*settings, {.now = wall_now(),
                          .anchors = (*anchors)->count(),
                          .newest_not_before = (*anchors)->newest_not_before(),
                          .latest_not_after = (*anchors)->latest_not_after(),
                          .has_invite = !invite->empty(),
                          .invite_is_public = is_public(settings->invite_file),
                          .key_folder = folder_of(settings->key_store),
                          .state_folder = folder_of(settings->state_store),
                          .links = links_here(),
                          .remembered_prefix = remembered_prefix(options, *settings)});
    const ExitStatus status = status_of(findings);
    std::printf("%s: %s\n", options.config.c_str(),
                status == ExitStatus::Joined ? "good" : "a boot with this must fail");
    std::printf("  gateway    %s, port %u\n", settings->gateway_name.c_str(),
                unsigned{settings->port});
    std::printf("  sources    %s\n", settings->sources.text().c_str());
    std::printf("  pinned CA  %s: %zu, in force until %s\n", settings->ca_file.c_str(),
                (*anchors)->count(), to_rfc3339((*anchors)->latest_not_after()).c_str());
    std::printf("  invite     %s\n", invite->empty() ? "none" : settings->invite_file.c_str());
    print(to_text(findings));
    return static_cast<int>(status);
}

// --- report ---------------------------------------------------------------------------------------

// What the terminal can do; a file or a pipe gets plain text.
static TextStyle style_of_terminal() {
    TextStyle style;
    winsize size{};
    if (::isatty(STDOUT_FILENO) == 1) {
        style.colour = ::getenv("NO_COLOR") == nullptr;
        if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 60)
            style.width = size.ws_col;
    }
    for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
        const char* value = ::getenv(name);
        if (value == nullptr || *value == '\0') continue;
        const std::string locale = to_lower(value);
        style.unicode = locale.contains("utf-8") || locale.contains("utf8");
        break;
    }
    return style;
}

int report(const PrebootOptions& options) {
    const std::string path = options.events.empty()
                                 ? options.run_directory + "/" + std::string(events_file)
                                 : options.events;
    const auto fail_with = [](Error error) {
        return complain({ExitStatus::Internal, std::move(error)});
    };
    const auto events = read_file(path, events_size_limit, FileKind::Any);
    if (!events) return fail_with(events.error());
    auto timeline = read_timeline(*events);
    if (!timeline) return fail_with(std::move(timeline).error().in(path));
    if (options.svg.empty()) {
        print(to_text(*timeline, style_of_terminal()));
        return 0;
    }
    const std::string picture = to_svg(*timeline);
    if (options.svg == "-") {
        print(picture);
    } else if (Status status = write_file(options.svg, as_bytes(picture), 0644); !status) {
        return fail_with(status.error());
    }
    return 0;
}

// --- explain --------------------------------------------------------------------------------------

static std::string explanation_text(ExitStatus status) {
    const Explanation explanation = explanation_of(status);
    return std::to_string(static_cast<int>(status)) + " " + std::string(name_of(status)) +
           "\n  what  " + std::string(explanation.what) + "\n  look  " +
           std::string(explanation.look) + "\n  do    " + std::string(explanation.act) + "\n";
}

int explain(const PrebootOptions& options) {
    if (options.explained.empty()) {
        for (int number = 0; number < exit_status_count; ++number)
            print(explanation_text(static_cast<ExitStatus>(number)));
        return 0;
    }
    const auto status = exit_status_from(options.explained);
    if (!status)
        return complain({ExitStatus::Usage,
                         {ErrorCode::InvalidArgument,
                          "'" + options.explained +
                              "' is no exit status: fortros-preboot explain lists them"}});
    print(explanation_text(*status));
    return 0;
}

}  // namespace fortros
