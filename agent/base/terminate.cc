// Ends the program without libstdc++'s verbose handler, which would bring a demangler (100 KB) into
// a static program that throws nothing. Linked as an object, for an archive would come too late.
#include <cstdlib>

namespace __gnu_cxx {

// NOLINTNEXTLINE(bugprone-reserved-identifier, readability-identifier-naming): libstdc++'s own name
void __verbose_terminate_handler() { std::abort(); }

}  // namespace __gnu_cxx
