#include "core/setting_values.h"

#include "core/address.h"

namespace fortros {

std::unexpected<Error> not_a(std::string_view what, std::string_view text) {
    return fail(ErrorCode::InvalidSettings, ("'" + printable(text, 80) + "' is not ").append(what));
}

Result<bool> boolean_setting(std::string_view text) {
    for (std::string_view yes : {"yes", "true", "on", "1"})
        if (text == yes) return true;
    for (std::string_view no : {"no", "false", "off", "0"})
        if (text == no) return false;
    return not_a("yes or no", text);
}

Result<std::uint32_t> number_setting(std::string_view text, std::uint32_t low, std::uint32_t high) {
    const auto number = parse_number<std::uint32_t>(text);
    if (!number || *number < low || *number > high)
        return not_a("a number from " + std::to_string(low) + " to " + std::to_string(high), text);
    return *number;
}

Result<Duration> duration_setting(std::string_view text, Duration low, Duration high) {
    const auto duration = parse_duration(text);
    if (!duration) return not_a("a time span (such as 500ms, 10s, 2min, 1h)", text);
    if (*duration < low || *duration > high)
        return not_a("from " + to_text(low) + " to " + to_text(high), text);
    return *duration;
}

Result<std::string> path_setting(std::string_view text) {
    if (!text.starts_with('/') || text.ends_with('/'))
        return fail(ErrorCode::InvalidSettings, "not an absolute path of a file (/...)");
    return std::string(text);
}

Result<std::string> host_name_setting(std::string_view text) {
    auto name = parse_host_name(text);
    if (!name) return not_a("a DNS name (such as gw.example.org)", text);
    return std::move(*name);
}

}  // namespace fortros
