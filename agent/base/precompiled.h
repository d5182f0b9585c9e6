// The standard headers that most files read. The builds with the sanitizers compile them once for each library
// (b_pch, a third of their time); the release never does, so that a file cannot forget to name what it uses.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>
