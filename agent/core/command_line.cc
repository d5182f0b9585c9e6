#include "core/command_line.h"

namespace fortros {

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

std::vector<CommandLineWord> parse_command_line(std::string_view text) {
    std::vector<CommandLineWord> words;
    bool in_word = false;
    bool in_quotes = false;
    for (char c : text) {
        if (is_blank(c) && !in_quotes) {
            in_word = false;
            continue;
        }
        if (!in_word) words.emplace_back();
        in_word = true;
        CommandLineWord& word = words.back();
        if (c == '"')
            in_quotes = !in_quotes;
        else if (word.value)
            *word.value += c;
        else if (c == '=')
            word.value.emplace();
        else
            word.key += c;
    }
    return words;
}

}  // namespace fortros
