// The command line of fortros-gateway: which command, which options, which words. Pure: a table of
// commands in, the chosen one out, or why it can't be meant. The help is made of the same table.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fortros::gateway {

// Several: each time that it is given adds to its value.
enum class Times { Once, Several };

struct OptionSpec {
    std::string_view name;   // "--expires"
    std::string_view value;  // "SPAN"; empty: a flag
    std::string_view help;
    Times times = Times::Once;
};

struct CommandSpec {
    std::string_view name;       // "invite create"
    std::string_view arguments;  // "ID", or nothing
    std::string_view summary;    // a line
    std::string_view help;       // more, may be empty
    std::span<const OptionSpec> options;
};

struct Arguments {
    const CommandSpec* command = nullptr;  // null: --help or --version of the whole program
    std::map<std::string_view, std::string> options{};
    std::vector<std::string> words{};  // as many as the command's `arguments` has
    bool help = false;
    bool version = false;

    bool has(std::string_view option) const { return options.contains(option); }
    std::optional<std::string> value(std::string_view option) const;
    // The words of all its values.
    std::vector<std::string> values(std::string_view option) const;
};

// Options every command has: --config FILE, --help. InvalidArgument says what is wrong and where
// help is.
Result<Arguments> parse_arguments(std::span<const std::string_view> words,
                                  std::span<const CommandSpec> commands);

std::string help_of_program(std::span<const CommandSpec> commands);
std::string help_of(const CommandSpec& command);

}  // namespace fortros::gateway
