// The published vectors of tests/vectors, for tests that hold the code against them.
#pragma once

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "base/encoding.h"
#include "core/json.h"

namespace fortros {

inline Json read_vectors(const std::string& name) {
    std::ifstream file(std::string(FORTROS_VECTORS) + "/" + name);
    REQUIRE_MESSAGE(file.good(), "cannot open the vectors ", name);
    std::stringstream text;
    text << file.rdbuf();
    auto json = Json::parse(text.str());
    REQUIRE(json.has_value());
    return *json->find("vectors");
}

inline std::string text_of(const Json& vector, std::string_view key) {
    return *vector.find(key)->string();
}

inline Bytes bytes_of(const Json& vector, std::string_view key) {
    return *from_base64(text_of(vector, key));
}

}  // namespace fortros
