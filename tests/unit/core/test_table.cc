#include "core/table.h"

#include <doctest/doctest.h>

using namespace fortros;

// An admin could not tell which value stands in which column.
TEST_CASE("table: columns are as wide as their widest cell") {
    CHECK(to_table({"ID", "STATE"}, {{"1", "open"}, {"12345", ""}}) ==
          "ID     STATE\n"
          "1      open\n"
          "12345  -\n");
    CHECK(to_table({"ID", "STATE"}, {}) == "ID  STATE\n");
}

// A node's hostname would write on the admin's terminal.
TEST_CASE("table: cells are made fit to print") {
    CHECK(to_table({"NAME"}, {{"a\x1b[2Jb\n"}}) == "NAME\na?[2Jb?\n");
}
