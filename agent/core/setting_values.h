// The values that settings are made of, each with the reason why a text is not one. Shared by the
// agent's and the gateway's settings files and by the kernel command line. All errors are
// InvalidSettings and say only why; the caller knows where.
//
// A parser is a function Result<T>(std::string_view); assign_setting and append_setting make an
// IniKey's assign function of a member and a parser:
//     {"Network", "Mode", assign_setting<&Settings::link_mode, parse_link_mode>},
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/text.h"
#include "base/time.h"

namespace fortros {

// A list setting has at most this many elements.
inline constexpr std::size_t setting_list_limit = 64;

// "'text' is not `what`", with `text` made fit to print.
std::unexpected<Error> not_a(std::string_view what, std::string_view text);

// yes, no, true, false, on, off, 1, 0.
Result<bool> boolean_setting(std::string_view text);
Result<std::uint32_t> number_setting(std::string_view text, std::uint32_t low, std::uint32_t high);
// A time span as base/time.h reads it.
Result<Duration> duration_setting(std::string_view text, Duration low, Duration high);
// The absolute path of a file. The error does not repeat the text: some people put the secret
// itself where its file's name belongs.
Result<std::string> path_setting(std::string_view text);
Result<std::string> host_name_setting(std::string_view text);

// One of a few words.
template <typename Choice>
Result<Choice> choice_setting(std::string_view text,
                              std::initializer_list<std::pair<std::string_view, Choice>> choices) {
    std::string names;
    for (const auto& [name, choice] : choices) {
        if (name == text) return choice;
        names.append(names.empty() ? "" : ", ").append(name);
    }
    return not_a("one of " + names, text);
}

// The last assignment counts.
template <auto Member, auto Parse, typename Settings>
Status assign_setting(Settings& settings, std::string_view text) {
    settings.*Member = TRY(Parse(text));
    return {};
}

// Every assignment appends the words between its blanks; one without a word empties the list, as in
// systemd. The member is a vector, or an optional one that is present once it was assigned.
template <auto Member, auto Parse, typename Settings>
Status append_setting(Settings& settings, std::string_view text) {
    const auto append = [&](auto& list) -> Status {
        const auto words = words_of(text);
        if (words.empty()) list.clear();
        for (std::string_view word : words) {
            if (list.size() == setting_list_limit)
                return fail(ErrorCode::InvalidSettings,
                            "more than " + std::to_string(setting_list_limit) + " values");
            list.push_back(TRY(Parse(word)));
        }
        return {};
    };
    if constexpr (requires { (settings.*Member).emplace(); }) {
        if (!(settings.*Member)) (settings.*Member).emplace();
        return append(*(settings.*Member));
    } else {
        return append(settings.*Member);
    }
}

}  // namespace fortros
