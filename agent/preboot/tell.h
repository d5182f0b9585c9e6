// The commands that only tell: what would fail at boot, how the last boot went, what an exit status
// means. They read files and print; they change nothing but the picture that they were asked for, and
// send nothing.
#pragma once

#include "preboot/options.h"

namespace fortros {

// Each prints, and returns the program's exit status.
int check_config(const PrebootOptions& options);
int report(const PrebootOptions& options);
int explain(const PrebootOptions& options);

}  // namespace fortros
