// The kernel command line taken apart into words, with quotes as the kernel reads them
// (lib/cmdline.c, next_arg). It never says what a word means.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fortros {

struct CommandLineWord {
    std::string key;
    std::optional<std::string> value{};  // what follows the first '='; absent without one

    bool operator==(const CommandLineWord&) const = default;
};

// Blanks separate words, double quotes hold them together and are dropped; a quote that is never
// closed ends with the line. "--" is a word like any other.
std::vector<CommandLineWord> parse_command_line(std::string_view text);

}  // namespace fortros
