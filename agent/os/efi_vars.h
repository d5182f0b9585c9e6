// Our UEFI variables, through libefivar: two names under one vendor GUID, nobody else's. It never
// writes what is there already, never deletes, and takes a machine without UEFI for normal.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace fortros {

inline constexpr std::string_view efi_vendor_guid = "ac713719-c4fe-4ca1-ae08-285342dd98af";
inline constexpr const char* efi_state_variable = "FortrosState";
inline constexpr const char* efi_key_variable = "FortrosKey";
inline constexpr std::size_t efi_variable_limit = std::size_t{32} * 1024;

// The edge: real firmware below, a map in tests/fakes.
class EfiVariables {
public:
    EfiVariables() = default;
    EfiVariables(const EfiVariables&) = delete;
    EfiVariables& operator=(const EfiVariables&) = delete;
    virtual ~EfiVariables() = default;

    // Nothing if there is no such variable. Unsupported without UEFI variables; InvalidData if it
    // is larger than efi_variable_limit. Values come as secrets, since one of them is.
    virtual Result<std::optional<SecretBytes>> read(const char* name) = 0;

    // Non-volatile, boot services and run time; then read back and compared. What is there already
    // is not written again. PermissionDenied where efivarfs is read-only, Exhausted where NVRAM is
    // full. After a failure the old value may be there, or the new one: firmware decides.
    Status write(const char* name, ByteView value);

    // Makes the variable readable by root only, until efivarfs is mounted again, and its directory
    // too: 0600 and 0700. Nothing to do if there is none.
    virtual Status protect(const char* name) = 0;

protected:
    virtual Status put(const char* name, ByteView value) = 0;

private:
    Result<bool> holds(const char* name, ByteView value);
};

class FirmwareVariables final : public EfiVariables {
public:
    Result<std::optional<SecretBytes>> read(const char* name) override;
    Status protect(const char* name) override;

protected:
    Status put(const char* name, ByteView value) override;
};

enum class EfivarfsState {
    Absent,   // the machine was not started by UEFI, or the kernel has no efivarfs
    Mounted,  // and libefivar knows
    Fresh,    // mounted just now: libefivar has looked before main() and must look again, so the
              // program must execute itself anew, once
};

// Mounts efivarfs where the kernel shows its place and it is not mounted. An error means that the
// mount failed.
Result<EfivarfsState> ensure_efivarfs();

}  // namespace fortros
