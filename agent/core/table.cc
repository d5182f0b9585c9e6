#include "core/table.h"

#include <algorithm>

#include "base/text.h"

namespace fortros {

static std::string shown(const std::string& cell) { return cell.empty() ? "-" : printable(cell); }

std::string to_table(const std::vector<std::string>& heading,
                     const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths;
    for (std::size_t column = 0; column < heading.size(); ++column) {
        std::size_t width = heading[column].size();
        for (const auto& row : rows) width = std::max(width, shown(row[column]).size());
        widths.push_back(width);
    }
    std::string text;
    const auto add = [&](const std::vector<std::string>& row) {
        for (std::size_t column = 0; column < heading.size(); ++column) {
            std::string cell = shown(row[column]);
            // No blanks at the end of a line.
            if (column + 1 < heading.size()) cell.resize(widths[column] + 2, ' ');
            text += cell;
        }
        text += "\n";
    };
    add(heading);
    for (const auto& row : rows) add(row);
    return text;
}

}  // namespace fortros
