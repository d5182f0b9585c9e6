#include "core/ini.h"

#include <algorithm>

#include "base/text.h"

namespace fortros {

static bool is_control(char c) { return (c >= 0 && c < ' ' && c != '\t') || c == 0x7f; }

// What is wrong with one trimmed line that is no comment, or nothing; fills in `entry`.
static std::string_view read_line(std::string_view line, IniEntry& entry) {
    if (std::ranges::any_of(line, is_control)) return "a control character";
    if (line.ends_with('\\')) return "a line can't be continued: write the key again";
    if (line.starts_with('[')) {
        if (!line.ends_with(']')) return "a section without ']'";
        entry.section = line.substr(1, line.size() - 2);
        entry.key = entry.value = {};
        if (entry.section.empty() || entry.section.find_first_of("[]") != std::string_view::npos)
            return "not a section's name";
        return {};
    }
    const auto equals = line.find('=');
    if (equals == std::string_view::npos) return "neither [Section], Key=value nor a # comment";
    entry.key = trim(line.substr(0, equals));
    entry.value = trim(line.substr(equals + 1));
    if (entry.key.empty()) return "a value without a key";
    if (entry.section.empty()) return "a key before the first [Section]";
    return {};
}

Result<std::vector<IniEntry>> parse_ini(std::string_view text, std::string_view file) {
    std::vector<IniEntry> entries;
    IniEntry entry;
    const auto bad = [&](std::string_view why) {
        std::string what(file);
        if (entry.line > 0) what += ":" + std::to_string(entry.line);
        return fail(ErrorCode::InvalidSettings, what.append(": ").append(why));
    };
    if (text.size() > ini_size_limit) return bad("larger than 64 KiB");
    for (std::string_view raw : split(text, '\n')) {
        ++entry.line;
        if (raw.size() > ini_line_limit) return bad("a line of more than 4096 bytes");
        const std::string_view line = trim(raw);
        if (line.empty() || line.front() == '#' || line.front() == ';') continue;
        if (const auto why = read_line(line, entry); !why.empty()) return bad(why);
        if (entries.size() == ini_entries_limit) return bad("too many settings");
        entries.push_back(entry);
    }
    return entries;
}

std::string place_of(const IniEntry& entry, std::string_view file) {
    std::string place(file);
    place += ":" + std::to_string(entry.line) + ": [" + printable(entry.section, 40) + "]";
    if (!entry.key.empty()) place += " " + printable(entry.key, 40) + "=";
    return place;
}

}  // namespace fortros
