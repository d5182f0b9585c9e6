#include "fakes/efi_variables.h"

namespace fortros {

Result<std::optional<SecretBytes>> FakeEfiVariables::read(const char* name) {
    if (read_error) return std::unexpected(*read_error);
    const auto found = values.find(name);
    if (found == values.end()) return std::nullopt;
    if (found->second.size() > efi_variable_limit)
        return fail(ErrorCode::InvalidData, std::string(name) + " is too large");
    return SecretBytes(ByteView(found->second));
}

Status FakeEfiVariables::protect(const char* name) {
    if (protect_error) return std::unexpected(*protect_error);
    if (values.contains(name)) is_protected.insert(name);
    return {};
}

Status FakeEfiVariables::put(const char* name, ByteView value) {
    ++writes;
    if (write_error) return std::unexpected(*write_error);
    if (!forgets_writes) values[name] = Bytes(value.begin(), value.end());
    return {};
}

}  // namespace fortros
