// Ends the program where libstdc++ would throw, or would say in words what was thrown. In a program
// that catches nothing both end the same way, but the library's own would bring in translated
// messages and a demangler (220 KB). Linked as an object, for an archive would come too late.
#include <cstdlib>

namespace __gnu_cxx {

// NOLINTNEXTLINE(bugprone-reserved-identifier, readability-identifier-naming): libstdc++'s own name
void __verbose_terminate_handler() { std::abort(); }

}  // namespace __gnu_cxx

// NOLINTBEGIN(bugprone-reserved-identifier, readability-identifier-naming, cert-dcl58-cpp): the same
namespace std {

[[noreturn]] void __throw_bad_alloc() { abort(); }
[[noreturn]] void __throw_bad_array_new_length() { abort(); }
[[noreturn]] void __throw_bad_cast() { abort(); }
[[noreturn]] void __throw_bad_exception() { abort(); }
[[noreturn]] void __throw_bad_function_call() { abort(); }
[[noreturn]] void __throw_bad_typeid() { abort(); }
[[noreturn]] void __throw_domain_error(const char*) { abort(); }
[[noreturn]] void __throw_invalid_argument(const char*) { abort(); }
[[noreturn]] void __throw_length_error(const char*) { abort(); }
[[noreturn]] void __throw_logic_error(const char*) { abort(); }
[[noreturn]] void __throw_out_of_range(const char*) { abort(); }
[[noreturn]] void __throw_out_of_range_fmt(const char*, ...) { abort(); }
[[noreturn]] void __throw_overflow_error(const char*) { abort(); }
[[noreturn]] void __throw_range_error(const char*) { abort(); }
[[noreturn]] void __throw_runtime_error(const char*) { abort(); }
[[noreturn]] void __throw_underflow_error(const char*) { abort(); }

}  // namespace std
// NOLINTEND(bugprone-reserved-identifier, readability-identifier-naming, cert-dcl58-cpp)
