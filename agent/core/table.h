// A table for people: columns as wide as they must be, and a heading. Pure.
#pragma once

#include <string>
#include <vector>

namespace fortros {

// `rows` have as many cells as `heading`; cells are made fit to print, an empty one becomes "-".
std::string to_table(const std::vector<std::string>& heading,
                     const std::vector<std::vector<std::string>>& rows);

}  // namespace fortros
