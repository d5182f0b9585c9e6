// fortros-maintainer: keeps the overlay that preboot has handed off, for as long as the node runs.
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <optional>
#include <span>
#include <string>

#include "core/crypto.h"
#include "core/ini.h"
#include "maintainer/adoption.h"
#include "maintainer/keeper.h"
#include "maintainer/member_cache.h"
#include "maintainer/report.h"
#include "maintainer/settings.h"
#include "maintainer/variables.h"
#include "os/clock.h"
#include "os/confinement.h"
#include "os/files.h"
#include "os/forwarding.h"
#include "os/log_sink.h"
#include "os/loop.h"
#include "os/overlay_links.h"
#include "os/random.h"
#include "os/trust.h"

namespace fortros {

static constexpr const char* version = "fortros-maintainer " FORTROS_VERSION;
static constexpr std::size_t status_file_limit = std::size_t{16} * 1024 * 1024;

static constexpr std::string_view help =
    R"(fortros-maintainer - keep a node's overlay, and its mesh, for as long as the node runs

usage:
  fortros-maintainer [run] [--run-directory DIR] [--config FILE]
                      adopt the interfaces of the hand-off, follow the org's membership, and keep
                      tunnels to lighthouses, to neighbours on the LAN and to the peers that pay;
                      never ends by itself
  fortros-maintainer status [--json] [--run-directory DIR]
                      what the running maintainer saw last: each peer with its tier, its path, and
                      why it is one; others, and why they are none; what membership is based on;
                      what is wrong. As a table, or as JSON
  fortros-maintainer check-config [--config FILE]
                      whether the settings are good
  fortros-maintainer allow-relay [--run-directory DIR]
                      on a lighthouse let this host forward IPv6, with accept_ra=2 wherever it is 1;
                      the running maintainer does it where it may, and under the unit it may not
  fortros-maintainer guard-variables
                      make the node's UEFI variables readable by root only, and end; the running
                      maintainer does so too, whenever efivarfs is mounted anew
  fortros-maintainer --help | --version

It runs as root in the real root. It compares what the kernel has with what it wants and sends the
difference, so a tunnel that is right is never touched. When it ends, however it ends, the interfaces
stay as they are; started again it takes up where it was, and an upgrade is a restart.

settings (/etc/fortros/maintainer.conf, need not be there):
  [Membership]
  Engine=gateway      where news of members come from: `gateway`, the gateways' feed; `serf`, a Serf
                      agent on each node (fortros-serf.service) beside it
  [Serf]
  KeyFile=/etc/fortros/serf.key
                      32 bytes in base64 (`serf keygen`), the same on all nodes: Serf's encryption
  Agent=127.0.0.1:7373
                      where this node's agent is spoken with
  [Mesh]
  Metered=no          yes: the uplink costs by the byte; half the peers, and no NAT kept open for idle
                      ones

files:
  /run/fortros/bootstrap.json   the hand-off of fortros-preboot, read once
  /run/fortros/maintainer.json  what status shows, written every few seconds
  /run/fortros/maintainer.prom  the same as numbers (OpenMetrics), for a collector that reads files
  /run/fortros/members.jsonl    the members that are known, for the next start
  /run/fortros/serf.json        with Engine=serf: what the Serf agent is started with

exit status:
  0 ended by a signal, or all is done      4 the interfaces can't be adopted
  1 failure                                5 the organisation has revoked this node: the interfaces
  2 usage                                    are taken down, and nothing is deleted
  3 no sound hand-off                      6 the settings are wrong
)";

enum class MaintainerExit : int {
    Ended = 0,
    Failure = 1,
    Usage = 2,
    NoHandOff = 3,
    NotAdopted = 4,
    CastOut = 5,
    Settings = 6,
};

struct MaintainerOptions {
    enum class Verb { Run, Status, CheckConfig, AllowRelay, GuardVariables, Help, Version };
    Verb verb = Verb::Run;
    std::string directory{run_directory};
    std::string config{default_maintainer_settings};
    bool is_config_named = false;  // then it must be there
    bool json = false;
};

static std::optional<MaintainerOptions::Verb> verb_of(std::string_view word) {
    using Verb = MaintainerOptions::Verb;
    if (word == "run") return Verb::Run;
    if (word == "status") return Verb::Status;
    if (word == "check-config") return Verb::CheckConfig;
    if (word == "allow-relay") return Verb::AllowRelay;
    if (word == "guard-variables") return Verb::GuardVariables;
    if (word == "--help" || word == "-h") return Verb::Help;
    if (word == "--version") return Verb::Version;
    return std::nullopt;
}

static Result<MaintainerOptions> parse_options(std::span<char* const> arguments) {
    using Verb = MaintainerOptions::Verb;
    MaintainerOptions options;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view argument = arguments[i];
        const bool has_value = i + 1 < arguments.size();
        const auto verb = verb_of(argument);
        if (verb && (i == 0 || *verb == Verb::Help || *verb == Verb::Version)) {
            options.verb = *verb;
        } else if (argument == "--run-directory" && has_value) {
            options.directory = arguments[++i];
        } else if (argument == "--config" && has_value) {
            options.config = arguments[++i];
            options.is_config_named = true;
        } else if (argument == "--json" && options.verb == Verb::Status) {
            options.json = true;
        } else {
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

static Result<MaintainerSettings> read_settings(const MaintainerOptions& options) {
    const auto text = read_file(options.config, ini_size_limit);
    if (!text && text.error().code == ErrorCode::NotFound && !options.is_config_named)
        return MaintainerSettings{};
    if (!text) return std::unexpected(text.error());
    return parse_maintainer_settings(*text, options.config);
}

// Until a signal, or until the organisation has cast this node out.
static Result<MaintainerExit> keep_running(const MaintainerOptions& options,
                                           const MaintainerSettings& settings, HandOff hand_off,
                                           PrivateKey key, OverlayLinks links, const Fd& signals,
                                           Log& log) {
    auto loop = TRY(Loop::create());
    const auto variables = TRY(VariableGuard::start(*loop, log));
    auto watch = TRY(loop->watch(signals.get(), EPOLLIN, [&](std::uint32_t) { loop->stop(); }));
    const auto anchors = TRY(TrustAnchors::of(hand_off.authorities));
    KernelRandom random;
    MaintainerExit end = MaintainerExit::Ended;
    const auto keeper =
        TRY(Keeper::create({.loop = *loop,
                            .log = log,
                            .random = random,
                            .anchors = *anchors,
                            .directory = options.directory,
                            .agent = version,
                            .cast_out =
                                [&] {
                                    end = MaintainerExit::CastOut;
                                    loop->stop();
                                }},
                           settings, std::move(hand_off), std::move(key), std::move(links)));
    keeper->start();
    TRY(loop->run());
    keeper->save();
    return end;
}

static MaintainerExit run(const MaintainerOptions& options, Log& log) {
    const auto settings = read_settings(options);
    if (!settings) return complain(log, MaintainerExit::Settings, settings.error());
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
    const auto end = keep_running(options, *settings, std::move(*hand_off), std::move(*key),
                                  std::move(*links), *signals, log);
    if (!end) return complain(log, MaintainerExit::Failure, end.error());
    if (*end == MaintainerExit::CastOut) {
        auto overlay = OverlayLinks::create();
        const auto taken_down =
            overlay ? overlay->take_down() : Result<std::size_t>(std::unexpected(overlay.error()));
        if (!taken_down) return complain(log, MaintainerExit::Failure, taken_down.error());
        return *end;
    }
    log.write({.level = Level::Info, .event = "ended", .message = "ended; the interfaces stay"});
    return MaintainerExit::Ended;
}

static Result<std::string> read_status(const MaintainerOptions& options) {
    const std::string path = options.directory + "/" + std::string(status_file);
    const auto text = read_file(path, status_file_limit);
    if (!text)
        return std::unexpected(Error(text.error()).in("no maintainer has written its status"));
    if (options.json) return *text;
    const auto json =
        TRY(Json::parse(*text, {.bytes = status_file_limit, .depth = 8, .values = 65536}));
    return status_text(json);
}

static MaintainerExit show_status(const MaintainerOptions& options, Log& log) {
    const auto text = read_status(options);
    if (!text) return complain(log, MaintainerExit::Failure, text.error());
    std::fputs(text->c_str(), stdout);
    return MaintainerExit::Ended;
}

static MaintainerExit check_config(const MaintainerOptions& options, Log& log) {
    const auto settings = read_settings(options);
    if (!settings) return complain(log, MaintainerExit::Settings, settings.error());
    std::printf("%s: good\n", options.config.c_str());
    return MaintainerExit::Ended;
}

// What the org has said since the boot is in the cache of members.
static bool is_lighthouse(const HandOff& hand_off, const std::string& directory) {
    const auto text = read_file(directory + "/" + std::string(members_file), member_cache_limit);
    const auto cache =
        text ? parse_member_cache(*text) : Result<MemberCache>(std::unexpected(text.error()));
    const auto own =
        cache ? parse_attestation(cache->own) : Result<Attestation>(std::unexpected(cache.error()));
    return (own && own->node == hand_off.node ? own->role : hand_off.role) == Role::Lighthouse;
}

static MaintainerExit allow_relay(const MaintainerOptions& options, Log& log) {
    if (Status status = crypto::initialise(); !status)
        return complain(log, MaintainerExit::Failure, status.error());
    const auto hand_off = read_hand_off(options.directory);
    if (!hand_off) return complain(log, MaintainerExit::NoHandOff, hand_off.error());
    if (!is_lighthouse(*hand_off, options.directory)) return MaintainerExit::Ended;
    if (Status status = forward_ipv6(); !status)
        return complain(log, MaintainerExit::Failure, status.error());
    return MaintainerExit::Ended;
}

static MaintainerExit guard(Log& log) {
    if (Status status = guard_variables(); !status)
        return complain(log, MaintainerExit::Failure, status.error());
    return MaintainerExit::Ended;
}

static MaintainerExit maintainer_main(int count, char** arguments) {
    forbid_core_dumps();
    StderrLog log("fortros-maintainer");
    const auto options = parse_options(
        std::span<char* const>(arguments, static_cast<std::size_t>(count)).subspan(1));
    if (!options) return complain(log, MaintainerExit::Usage, options.error());
    switch (options->verb) {
        case MaintainerOptions::Verb::Help: std::fwrite(help.data(), 1, help.size(), stdout); break;
        case MaintainerOptions::Verb::Version: std::puts(version); break;
        case MaintainerOptions::Verb::Status: return show_status(*options, log);
        case MaintainerOptions::Verb::CheckConfig: return check_config(*options, log);
        case MaintainerOptions::Verb::AllowRelay: return allow_relay(*options, log);
        case MaintainerOptions::Verb::GuardVariables: return guard(log);
        case MaintainerOptions::Verb::Run: return run(*options, log);
    }
    return MaintainerExit::Ended;
}

}  // namespace fortros

int main(int count, char** arguments) {
    return static_cast<int>(fortros::maintainer_main(count, arguments));
}
