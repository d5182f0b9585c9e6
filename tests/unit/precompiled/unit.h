// What every unit test reads; see base/precompiled.h.

#include <doctest/doctest.h>

#include "base/precompiled.h"
