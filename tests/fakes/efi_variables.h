// The in-memory twin of os/efi_vars.h: firmware that does what a test says, and remembers what was
// done to it.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "os/efi_vars.h"

namespace fortros {

class FakeEfiVariables final : public EfiVariables {
public:
    Result<std::optional<SecretBytes>> read(const char* name) override;
    Status protect(const char* name) override;

    std::map<std::string, Bytes> values;
    std::set<std::string> is_protected;
    int writes = 0;

    // What the firmware says instead of doing it.
    std::optional<Error> read_error, write_error, protect_error;
    // Takes a value, and gives back another.
    bool forgets_writes = false;

protected:
    Status put(const char* name, ByteView value) override;
};

}  // namespace fortros
