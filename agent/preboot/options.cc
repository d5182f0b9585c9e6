#include "preboot/options.h"

#include <algorithm>

namespace fortros {

const std::string_view preboot_help =
    R"(fortros-preboot - bring this machine into its organisation's encrypted overlay

usage:
  fortros-preboot [run] [OPTION...]     boot: links, discovery, TLS, enrolment, WireGuard, hand-off
  fortros-preboot probe [--json]        links, discovery and authentication only: what every source
                                        and candidate answered, with times, and what a boot would
                                        do. Stores and sends nothing; links stay as it leaves them
  fortros-preboot check-config [FILE]   read the settings, the pinned CA and the invite that they
                                        name, say what would fail at boot and what to do about it,
                                        and change nothing
  fortros-preboot report [--svg FILE] [--events FILE]
                                        draw the last boot as a timeline: stages, sources, candidates,
                                        who won, and what was waited for
  fortros-preboot explain [STATUS]      what an exit status (number or name) means, what to look at,
                                        and what to do; without one: all of them
  fortros-preboot --help | --version

It runs once, as root, in an initramfs, before the real root is mounted. It finds the gateway by the
addresses that it has cached, by public DNS and by the DNS that DHCP or router advertisements name,
believes only a gateway whose certificate ends at the pinned CA, enrols its WireGuard key there or
joins with it, and leaves WireGuard interfaces that stay up across switch_root.

options:
  --config FILE          settings (default /etc/fortros/preboot.conf)
  --kernel-command-line FILE
                         where fortros.* words are read from (default for run and probe:
                         /proc/cmdline; for check-config: none)
  --svg FILE             report: draw into FILE (`-`: standard output) instead of the terminal
  --events FILE          report: of these events (default events.jsonl in the run directory)
  --json                 probe: print JSON; times are microseconds since its start
  --run-directory DIR    where run puts the hand-off and the events, and report finds them
                         (default /run/fortros)

words on the kernel command line; they may narrow the settings, never widen them:
  fortros.sources=LIST   of cached, public-dns, dhcp-dns: use only these
  fortros.interfaces=LIST
                         shell patterns: use only links that these match, too
  fortros.timeout=TIME   total time for the boot ("90s", "5min")
  fortros.link_timeout=TIME
                         time for a link to come up
  fortros.debug          log more

files:
  /etc/fortros/preboot.conf    settings; every key is in the README
  /etc/fortros/org-ca.pem      the pinned CA: one to four certificates
  /etc/fortros/invite          the invite, while the node is not enrolled
  /run/fortros/bootstrap.json  the hand-off to fortros-maintainer
  /run/fortros/events.jsonl    what happened, one JSON object a line

exit status (fortros-preboot explain has more to say of each):
  0 joined               6 no link             12 key or state not stored; no invite was spent
  1 internal failure     7 no gateway          13 WireGuard, routes or guard not configured
  2 usage                8 gateway untrusted   14 no handshake answered (all else is done)
  3 settings invalid     9 refused             15 hand-off not written
  4 CA invalid          10 revoked             16 key without its state: cached addresses only
  5 invite missing      11 approval pending    17 gateways busy
                                               18 forbidden system call
)";

static std::unexpected<Error> usage(std::string what) {
    return fail(ErrorCode::InvalidArgument, std::move(what), "see fortros-preboot --help");
}

namespace {

using Verb = PrebootOptions::Verb;

struct VerbName {
    std::string_view name;
    Verb verb;
};
constexpr VerbName verb_names[] = {{"run", Verb::Run},
                                   {"probe", Verb::Probe},
                                   {"check-config", Verb::CheckConfig},
                                   {"report", Verb::Report},
                                   {"explain", Verb::Explain}};

// Reads the words from the left to the right.
class Reader {
public:
    Status read(std::span<const char* const> arguments) {
        for (std::size_t i = 0; i < arguments.size() && !m_done; ++i) {
            const std::string_view argument = arguments[i];
            std::string* value = value_of(argument);
            if (value == nullptr) {
                TRY(read_word(argument));
            } else if (i + 1 < arguments.size()) {
                *value = arguments[++i];
            } else {
                return usage("option '" + std::string(argument) + "' needs a value");
            }
        }
        return {};
    }

    PrebootOptions options{};

private:
    std::string* value_of(std::string_view option) {
        if (option == "--config") return &options.config;
        if (option == "--kernel-command-line") return &options.kernel_command_line.emplace();
        if (option == "--run-directory") return &options.run_directory;
        if (options.verb == Verb::Report && option == "--svg") return &options.svg;
        if (options.verb == Verb::Report && option == "--events") return &options.events;
        return nullptr;
    }

    Status read_word(std::string_view word) {
        if (word == "--help" || word == "-h") return end_with(Verb::Help);
        if (word == "--version") return end_with(Verb::Version);
        const auto* named = std::ranges::find(verb_names, word, &VerbName::name);
        if (!m_verb_given && named != std::end(verb_names)) {
            m_verb_given = true;
            options.verb = named->verb;
        } else if (options.verb == Verb::Probe && word == "--json") {
            options.json = true;
        } else if (std::string* operand = operand_of_verb();
                   operand != nullptr && !m_operand_given && !word.starts_with("-")) {
            m_operand_given = true;
            *operand = word;
        } else {
            return usage("'" + std::string(word) + "' is not understood");
        }
        return {};
    }

    Status end_with(Verb verb) {
        options.verb = verb;
        m_done = true;
        return {};
    }

    std::string* operand_of_verb() {
        if (options.verb == Verb::CheckConfig) return &options.config;
        if (options.verb == Verb::Explain) return &options.explained;
        return nullptr;
    }

    bool m_verb_given = false;
    bool m_operand_given = false;
    bool m_done = false;
};

}  // namespace

Result<PrebootOptions> parse_preboot_options(std::span<const char* const> arguments) {
    Reader reader;
    TRY(reader.read(arguments));
    return std::move(reader.options);
}

}  // namespace fortros
