// Settings files as systemd writes them (systemd.syntax(7)): sections, keys, values, and the line
// of each, so that every error can name it. It never guesses: a line continuation, a key that
// nobody knows or a control character is an error.
//
//   # comment          ; comment
//   [Section]
//   Key=value          blanks around key and value are dropped; a value may hold '#', ';' and '='
//
// A key may repeat: its reader decides whether the last value counts or lists grow
// (core/setting_values.h).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fortros {

inline constexpr std::size_t ini_size_limit = std::size_t{64} * 1024;
inline constexpr std::size_t ini_line_limit = 4096;
inline constexpr std::size_t ini_entries_limit = 1024;

// One line that says something; the texts are borrowed from the file's.
struct IniEntry {
    std::string_view section;
    std::string_view key;  // empty: the section begins here
    std::string_view value;
    unsigned line = 0;

    bool operator==(const IniEntry&) const = default;
};

// `file` is only for error messages, all of which are InvalidSettings: "preboot.conf:12: ...".
Result<std::vector<IniEntry>> parse_ini(std::string_view text, std::string_view file);

// A key that a program knows, and how its value gets into the program's settings. The error of
// `assign` says only why: read_ini puts file, line and key before it.
template <typename Settings>
struct IniKey {
    std::string_view section;
    std::string_view name;
    Status (*assign)(Settings&, std::string_view value);
};

// "preboot.conf:12: [Discovery] Sources="
std::string place_of(const IniEntry& entry, std::string_view file);

// Assigns every value of `text`, in its order; an unknown section or key is an error.
template <typename Settings>
Status read_ini(std::string_view text, std::string_view file,
                std::span<const IniKey<Settings>> keys, Settings& settings) {
    for (const IniEntry& entry : TRY(parse_ini(text, file))) {
        bool section_known = false;
        const IniKey<Settings>* key = nullptr;
        for (const auto& known : keys) {
            if (known.section != entry.section) continue;
            section_known = true;
            if (known.name == entry.key) key = &known;
        }
        if (!section_known)
            return fail(ErrorCode::InvalidSettings, place_of(entry, file) + ": unknown section");
        if (entry.key.empty()) continue;
        if (key == nullptr)
            return fail(ErrorCode::InvalidSettings, place_of(entry, file) + ": unknown key");
        if (Status status = key->assign(settings, entry.value); !status)
            return std::unexpected(std::move(status.error()).in(place_of(entry, file)));
    }
    return {};
}

}  // namespace fortros
