// Text: trimming, splitting, numbers, and making bytes from outside fit to print. It never
// allocates more than its input and never depends on the locale.
#pragma once

#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fortros {

// Without leading and trailing spaces, tabs, CR and LF.
std::string_view trim(std::string_view text);

// The non-empty words between spaces and tabs, borrowed from `text`.
std::vector<std::string_view> words_of(std::string_view text);

// The parts between `separator`, empty ones included, borrowed from `text`.
std::vector<std::string_view> split(std::string_view text, char separator);

std::string join(const std::vector<std::string>& parts, std::string_view separator);

// ASCII lower case.
std::string to_lower(std::string_view text);
bool equal_ignoring_case(std::string_view a, std::string_view b);

// Text from outside, made fit for a terminal and a log: control and non-ASCII bytes become '?',
// and what is longer than `limit` ends in "...".
std::string printable(std::string_view text, std::size_t limit = 200);

// A whole decimal number that fits into Number, and nothing else around it.
template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
    Number value{};
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || text.empty())
        return std::nullopt;
    return value;
}

}  // namespace fortros
