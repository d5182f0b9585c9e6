#include "gateway/arguments.h"

#include <algorithm>

#include "base/text.h"
#include "gateway/settings.h"

namespace fortros::gateway {

static constexpr std::string_view program = "fortros-gateway";

static constexpr OptionSpec common_options[] = {
    {"--config", "FILE", "the settings, instead of /etc/fortros/gateway.conf"},
    {"--help", "", "this text"},
};

std::optional<std::string> Arguments::value(std::string_view option) const {
    const auto found = options.find(option);
    if (found == options.end()) return std::nullopt;
    return found->second;
}

std::vector<std::string> Arguments::values(std::string_view option) const {
    const auto all = value(option).value_or("");
    const auto words = words_of(all);
    return {words.begin(), words.end()};
}

// --- parsing ---

static std::unexpected<Error> usage(std::string what, const CommandSpec* command) {
    std::string help(program);
    if (command != nullptr) help += " " + std::string(command->name);
    return fail(ErrorCode::InvalidArgument, std::move(what) + " (see " + help + " --help)");
}

static const OptionSpec* find_option(const CommandSpec* command, std::string_view name) {
    const auto in = [&](std::span<const OptionSpec> options) -> const OptionSpec* {
        const auto found = std::ranges::find(options, name, &OptionSpec::name);
        return found == options.end() ? nullptr : &*found;
    };
    if (const auto* option = in(common_options)) return option;
    return command == nullptr ? nullptr : in(command->options);
}

namespace {

// The words that are no options name the command first, and are its arguments then.
class Parser {
public:
    Parser(std::span<const std::string_view> words, std::span<const CommandSpec> commands)
        : m_words(words), m_commands(commands) {}

    Result<Arguments> parse() {
        find_command();
        while (m_next < m_words.size()) TRY(take());
        if (m_arguments.help || m_arguments.version) return std::move(m_arguments);
        if (m_arguments.command == nullptr) return usage("which command?", nullptr);
        const auto wanted = words_of(m_arguments.command->arguments).size();
        if (m_arguments.words.size() < wanted)
            return usage(std::string(m_arguments.command->arguments) + " is missing",
                         m_arguments.command);
        return std::move(m_arguments);
    }

private:
    // Known before the options are read, which differ from command to command.
    void find_command() {
        std::vector<std::string> plain;
        for (std::size_t i = 0; i < m_words.size() && plain.size() < 2; ++i) {
            if (m_words[i] == "--config")
                ++i;  // its value is no command
            else if (!m_words[i].starts_with('-'))
                plain.emplace_back(m_words[i]);
        }
        for (std::size_t size = plain.size(); size > 0; --size) {
            plain.resize(size);
            const auto found = std::ranges::find(m_commands, join(plain, " "), &CommandSpec::name);
            if (found == m_commands.end()) continue;
            m_arguments.command = &*found;
            m_command_words = size;
            return;
        }
    }

    Status take() {
        const std::string_view word = m_words[m_next++];
        const CommandSpec* command = m_arguments.command;
        if (word.starts_with('-')) return take_option(word);
        if (command == nullptr) return usage("unknown command '" + shown(word) + "'", nullptr);
        if (m_command_words > 0) {
            --m_command_words;
            return {};
        }
        if (m_arguments.words.size() == words_of(command->arguments).size())
            return usage("too many words: '" + shown(word) + "'", command);
        m_arguments.words.emplace_back(word);
        return {};
    }

    Status take_option(std::string_view word) {
        const auto equals = word.find('=');
        const std::string_view name = word.substr(0, equals);
        if (name == "-h" || name == "--help") {
            m_arguments.help = true;
            return {};
        }
        if (name == "--version") {
            m_arguments.version = true;
            return {};
        }
        const auto* option = find_option(m_arguments.command, name);
        if (option == nullptr)
            return usage("unknown option '" + shown(name) + "'", m_arguments.command);
        std::string value;
        if (equals != std::string_view::npos) {
            if (option->value.empty())
                return usage(std::string(name) + " takes no value", m_arguments.command);
            value = word.substr(equals + 1);
        } else if (!option->value.empty()) {
            if (m_next == m_words.size())
                return usage(std::string(name) + " needs a value", m_arguments.command);
            value = m_words[m_next++];
        }
        const auto [given, is_new] = m_arguments.options.try_emplace(option->name, value);
        if (!is_new && option->times == Times::Once)
            return usage(std::string(name) + " is given twice", m_arguments.command);
        if (!is_new) given->second += " " + value;
        return {};
    }

    static std::string shown(std::string_view text) { return printable(text, 40); }

    std::span<const std::string_view> m_words;
    std::span<const CommandSpec> m_commands;
    std::size_t m_next = 0;
    std::size_t m_command_words = 0;  // of the command's name, still to come
    Arguments m_arguments;
};

}  // namespace

Result<Arguments> parse_arguments(std::span<const std::string_view> words,
                                  std::span<const CommandSpec> commands) {
    return Parser(words, commands).parse();
}

// --- help ---

static std::string padded(std::string text, std::size_t width) {
    text.resize(std::max(text.size() + 2, width), ' ');
    return text;
}

static std::string lines_of(std::span<const OptionSpec> options) {
    std::string text;
    for (const auto& option : options) {
        std::string left = "  " + std::string(option.name);
        if (!option.value.empty()) left += " " + std::string(option.value);
        text += padded(std::move(left), 22) + std::string(option.help) + "\n";
    }
    return text;
}

std::string help_of_program(std::span<const CommandSpec> commands) {
    std::string text =
        "usage: fortros-gateway COMMAND [OPTION...]\n\n"
        "Admits nodes into an organisation's overlay.\n\n";
    for (const auto& command : commands) {
        std::string left = "  " + std::string(command.name);
        if (!command.arguments.empty()) left += " " + std::string(command.arguments);
        text += padded(std::move(left), 22) + std::string(command.summary) + "\n";
    }
    text += "\n" + lines_of(common_options) + "  --version           the version\n\n" +
            "Every command has a --help of its own. Exit codes: 0 done, 1 failed, 2 command line,\n"
            "3 settings, 4 certificates and keys, 5 database, 6 can't listen, 7 WireGuard,\n"
            "8 no such node or invite, 9 the audit log was changed.\n";
    return text;
}

std::string help_of(const CommandSpec& command) {
    std::string text = "usage: fortros-gateway " + std::string(command.name);
    if (!command.arguments.empty()) text += " " + std::string(command.arguments);
    text += " [OPTION...]\n\n" + std::string(command.summary) + "\n";
    if (!command.help.empty()) text += "\n" + std::string(command.help) + "\n";
    return text + "\n" + lines_of(command.options) + lines_of(common_options);
}

}  // namespace fortros::gateway
