// fortros-maintainer: keeps the overlay that preboot has handed off, for as long as the node runs.
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <span>
#include <string>

#include "core/crypto.h"
#include "maintainer/adoption.h"
#include "maintainer/keeper.h"
#include "maintainer/variables.h"
#include "os/clock.h"
#include "os/confinement.h"
#include "os/files.h"
#include "os/log_sink.h"
#include "os/loop.h"
#include "os/overlay_links.h"
#include "os/trust.h"

namespace fortros {

static constexpr const char* version = "fortros-maintainer " FORTROS_VERSION;
static constexpr Duration round_pause = 10s;
static constexpr std::size_t status_file_limit = std::size_t{1024} * 1024;

static constexpr std::string_view help =
    R"(fortros-maintainer - keep the overlay that fortros-preboot has handed off

usage:
  fortros-maintainer [run] [--run-directory DIR]
                      adopt the interfaces of the hand-off and keep them right; never ends by itself
  fortros-maintainer status [--run-directory DIR]
                      what the running maintainer saw last, as JSON
  fortros-maintainer guard-variables
                      make the node's UEFI variables readable by root only, and end; the running
                      maintainer does so too, whenever efivarfs is mounted anew
  fortros-maintainer --help | --version

It runs as root in the real root. It compares what the kernel has with what the hand-off says and
sends the difference, so a tunnel that is right is never touched. When it ends (SIGTERM, SIGINT) the
interfaces stay.

files:
  /run/fortros/bootstrap.json   the hand-off, read once
  /run/fortros/maintainer.json  status, written after every round

exit status:
  0 ended by a signal, or all is done      3 no sound hand-off
  1 failure                                4 the interfaces can't be adopted
  2 usage
)";

enum class MaintainerExit : int {
    Ended = 0,
    Failure = 1,
    Usage = 2,
    NoHandOff = 3,
    NotAdopted = 4
};

struct MaintainerOptions {
    enum class Verb { Run, Status, GuardVariables, Help, Version };
    Verb verb = Verb::Run;
    std::string directory{run_directory};
};

static Result<MaintainerOptions> parse_options(std::span<char* const> arguments) {
    MaintainerOptions options;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view argument = arguments[i];
        if (argument == "--help" || argument == "-h") {
            options.verb = MaintainerOptions::Verb::Help;
            return options;
        }
        if (argument == "--version") {
            options.verb = MaintainerOptions::Verb::Version;
            return options;
        }
        if (argument == "--run-directory" && i + 1 < arguments.size()) {
            options.directory = arguments[++i];
        } else if (i == 0 && argument == "status") {
            options.verb = MaintainerOptions::Verb::Status;
        } else if (i == 0 && argument == "guard-variables") {
            options.verb = MaintainerOptions::Verb::GuardVariables;
        } else if (i != 0 || argument != "run") {
            return fail(ErrorCode::InvalidArgument,
                        "'" + std::string(argument) + "' is not understood",
                        "see fortros-maintainer --help");
        }
    }
    return options;
}

static MaintainerExit complain(Log& log, MaintainerExit status, const Error& error) {
    log.write({.level = Level::Error, .event = "failed", .message = error.text()});
    return status;
}

static Result<HandOff> read_hand_off(const std::string& directory) {
    const std::string path = directory + "/" + std::string(handoff_file);
    const auto in_file = [&path](Error error) {
        return std::unexpected(std::move(error).in("'" + path + "'"));
    };
    auto hand_off = parse_hand_off(TRY(read_file(path, handoff_size_limit)));
    if (!hand_off) return in_file(std::move(hand_off).error());
    const auto anchors = TRY(TrustAnchors::of(hand_off->authorities));
    if (Status status = check_signed(*hand_off, *anchors); !status)
        return in_file(std::move(status).error());
    return hand_off;
}

// Signals end the loop like any other event.
static Result<Fd> block_signals() {
    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGTERM);
    ::sigaddset(&signals, SIGINT);
    if (::sigprocmask(SIG_BLOCK, &signals, nullptr) < 0)
        return fail_errno(errno, "cannot block signals");
    Fd fd{::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK)};
    if (!fd.valid()) return fail_errno(errno, "cannot watch for signals");
    return fd;
}

static Status keep_running(Keeper& keeper, const Fd& signals, Log& log) {
    auto loop = TRY(Loop::create());
    const auto variables = TRY(VariableGuard::start(*loop, log));
    auto watch = TRY(loop->watch(signals.get(), EPOLLIN, [&](std::uint32_t) { loop->stop(); }));
    Loop::Timer timer;
    std::function<void()> next = [&] {
        keeper.round();
        timer = loop->after(round_pause, next);
    };
    next();
    return loop->run();
}

static MaintainerExit run(const MaintainerOptions& options, Log& log) {
    forbid_core_dumps();
    auto signals = block_signals();
    if (!signals) return complain(log, MaintainerExit::Failure, signals.error());
    if (Status status = crypto::initialise(); !status)
        return complain(log, MaintainerExit::Failure, status.error());
    auto hand_off = read_hand_off(options.directory);
    if (!hand_off) return complain(log, MaintainerExit::NoHandOff, hand_off.error());
    auto links = OverlayLinks::create();
    if (!links) return complain(log, MaintainerExit::NotAdopted, links.error());
    const auto have = links->observe();
    if (!have) return complain(log, MaintainerExit::NotAdopted, have.error());
    if (Status status = check_adoptable(*hand_off, *have); !status)
        return complain(log, MaintainerExit::NotAdopted, status.error());
    auto key = links->wireguard().private_key(std::string(direct_interface));
    if (!key) return complain(log, MaintainerExit::NotAdopted, key.error());
    Keeper keeper(std::move(*hand_off), std::move(*key), std::move(*links), log, options.directory);
    if (Status status = keep_running(keeper, *signals, log); !status)
        return complain(log, MaintainerExit::Failure, status.error());
    log.write({.level = Level::Info, .event = "ended", .message = "ended; the interfaces stay"});
    return MaintainerExit::Ended;
}

static MaintainerExit show_status(const MaintainerOptions& options, Log& log) {
    const auto text =
        read_file(options.directory + "/" + std::string(status_file), status_file_limit);
    if (!text)
        return complain(log, MaintainerExit::Failure,
                        Error(text.error()).in("no maintainer has written its status"));
    std::fputs(text->c_str(), stdout);
    return MaintainerExit::Ended;
}

static MaintainerExit guard(Log& log) {
    if (Status status = guard_variables(); !status)
        return complain(log, MaintainerExit::Failure, status.error());
    return MaintainerExit::Ended;
}

static MaintainerExit maintainer_main(int count, char** arguments) {
    StderrLog log("fortros-maintainer");
    const auto options = parse_options(
        std::span<char* const>(arguments, static_cast<std::size_t>(count)).subspan(1));
    if (!options) return complain(log, MaintainerExit::Usage, options.error());
    switch (options->verb) {
        case MaintainerOptions::Verb::Help: std::fwrite(help.data(), 1, help.size(), stdout); break;
        case MaintainerOptions::Verb::Version: std::puts(version); break;
        case MaintainerOptions::Verb::Status: return show_status(*options, log);
        case MaintainerOptions::Verb::GuardVariables: return guard(log);
        case MaintainerOptions::Verb::Run: return run(*options, log);
    }
    return MaintainerExit::Ended;
}

}  // namespace fortros

int main(int count, char** arguments) {
    return static_cast<int>(fortros::maintainer_main(count, arguments));
}
