// The unit tests' main. It registers no test.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "core/crypto.h"

// Any single test may be asked for by name: the cryptography must not depend on an earlier one.
int main(int argc, char** argv) {
    ASSERT(fortros::crypto::initialise().has_value());
    return doctest::Context(argc, argv).run();
}
