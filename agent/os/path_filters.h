// Rules of nf_tables that drop what comes by another interface than an answer would leave by (strict
// reverse-path filtering: `fib saddr . iif oif missing drop`, as firewalld has it). In a mesh that is
// ordinary traffic. It changes no rule.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace fortros {

// Where such rules are ("table inet firewalld, chain filter_PREROUTING"), but for those that a rule
// before them in the same chain keeps from interfaces whose names begin with "fortros". What lies in
// chains that jump to each other is not followed. Empty where the kernel has no nf_tables.
Result<std::vector<std::string>> strict_path_filters();

}  // namespace fortros
