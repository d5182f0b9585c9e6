#include "os/efi_vars.h"

#include <efivar/efivar.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>

#include "os/fd.h"

#ifdef __clang__
// libefivar's efi_guid_t is declared with less alignment than its own struct has.
#pragma clang diagnostic ignored "-Walign-mismatch"
#endif

namespace fortros {

static constexpr const char* efi_directory = "/sys/firmware/efi";
static constexpr const char* efivarfs_directory = "/sys/firmware/efi/efivars";
static constexpr std::uint32_t wanted_attributes =
    EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS;
// The kernel interrupts what it deems too many reads and writes; another try is all it wants.
static constexpr int interrupted_tries = 8;

// efi_vendor_guid; the fourth part is kept in big-endian (EFI_GUID does the same, in C only).
static const efi_guid_t vendor = {
    0xac713719, 0xc4fe, 0x4ca1, __builtin_bswap16(0xae08), {0x28, 0x53, 0x42, 0xdd, 0x98, 0xaf}};

// What the kernel does not know on its command line becomes the environment of init, and of us.
// libefivar's own constructor would obey: end the program with status 0 (LIBEFIVAR_OPS=help), or
// look for our variables elsewhere, where a node's policy is not. So this one comes first.
[[gnu::constructor(101)]] static void forget_environment() {
    ::unsetenv("LIBEFIVAR_OPS");
    ::unsetenv("EFIVARFS_PATH");
}

Result<bool> EfiVariables::holds(const char* name, ByteView value) {
    const auto current = TRY(read(name));
    return current && std::ranges::equal(current->view(), value);
}

Status EfiVariables::write(const char* name, ByteView value) {
    if (value.size() > efi_variable_limit)
        return fail(ErrorCode::InvalidArgument,
                    std::string("too much for the UEFI variable ") + name);
    // Flash wears out, and every write is a chance for firmware to err.
    if (const auto there = holds(name, value); there && *there) return {};
    TRY(put(name, value));
    if (!TRY(holds(name, value)))
        return fail(ErrorCode::Io, std::string("the UEFI variable ") + name +
                                       " does not read back as it was written");
    return {};
}

static std::unexpected<Error> failed(int error_number, const char* what, const char* name) {
    const std::string operation = std::string("cannot ") + what + " the UEFI variable " + name;
    if (error_number == ENOSYS)
        return fail(ErrorCode::Unsupported, operation,
                    "this machine has no UEFI variables (it was not started by UEFI, or the "
                    "kernel has no efivarfs)");
    // EINVAL is what many firmwares say instead of ENOSPC.
    if (error_number == EINVAL)
        return std::unexpected(
            Error{ErrorCode::Exhausted, operation, error_number, "the firmware refuses it"});
    return fail_errno(error_number, operation);
}

template <typename Call>
static int patiently(Call call) {
    for (int tries = 1;; ++tries) {
        errno = 0;
        if (call() >= 0) return 0;
        if (errno != EINTR || tries == interrupted_tries) return errno != 0 ? errno : EIO;
    }
}

Result<std::optional<SecretBytes>> FirmwareVariables::read(const char* name) {
    if (efi_variables_supported() == 0) return failed(ENOSYS, "read", name);
    std::size_t size = 0;
    int error = patiently([&] { return efi_get_variable_size(vendor, name, &size); });
    if (error == ENOENT) return std::nullopt;
    if (error != 0) return failed(error, "read", name);
    if (size > efi_variable_limit)
        return fail(ErrorCode::InvalidData, std::string("the UEFI variable ") + name + " has " +
                                                std::to_string(size) + " bytes, which is too much");
    // libefivar does not wipe what it frees.
    std::uint8_t* data = nullptr;
    std::uint32_t attributes = 0;
    error = patiently([&] { return efi_get_variable(vendor, name, &data, &size, &attributes); });
    if (error == ENOENT) return std::nullopt;
    if (error != 0) return failed(error, "read", name);
    SecretBytes value{ByteView(data, size)};
    wipe(data, size);
    std::free(data);
    return value;
}

Status FirmwareVariables::put(const char* name, ByteView value) {
    const int error = patiently([&] {
        return efi_set_variable(vendor, name, value.data(), value.size(), wanted_attributes, 0600);
    });
    if (error != 0) return failed(error, "write", name);
    return {};
}

static bool is_efivarfs_mounted() {
    struct statfs mounted{};
    return ::statfs(efivarfs_directory, &mounted) == 0 &&
           static_cast<std::uint32_t>(mounted.f_type) == EFIVARFS_MAGIC;
}

Status FirmwareVariables::protect(const char* name) {
    if (!is_efivarfs_mounted()) return {};
    const std::string path =
        std::string(efivarfs_directory) + "/" + name + "-" + std::string(efi_vendor_guid);
    if (::chmod(efivarfs_directory, 0700) < 0 && errno != ENOENT)
        return fail_errno(errno, "cannot close '" + std::string(efivarfs_directory) + "'");
    const Fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
    if (!file.valid()) {
        if (errno == ENOENT) return {};
        return fail_errno(errno, "cannot open '" + path + "'");
    }
    int flags = 0;
    if (::ioctl(file.get(), FS_IOC_GETFLAGS, &flags) == 0 && (flags & FS_IMMUTABLE_FL) != 0) {
        flags &= ~FS_IMMUTABLE_FL;
        if (::ioctl(file.get(), FS_IOC_SETFLAGS, &flags) < 0)
            return fail_errno(errno, "cannot make '" + path + "' mutable");
    }
    if (::fchmod(file.get(), 0600) < 0)
        return fail_errno(errno, "cannot make '" + path + "' private");
    return {};
}

Result<EfivarfsState> ensure_efivarfs() {
    if (::access(efi_directory, F_OK) < 0) return EfivarfsState::Absent;
    if (::access(efivarfs_directory, F_OK) < 0) return EfivarfsState::Absent;
    if (is_efivarfs_mounted()) return EfivarfsState::Mounted;
    if (::mount("efivarfs", efivarfs_directory, "efivarfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                nullptr) < 0) {
        if (errno == ENODEV) return EfivarfsState::Absent;  // the kernel has no efivarfs
        return fail_errno(errno, "cannot mount efivarfs");
    }
    return EfivarfsState::Fresh;
}

}  // namespace fortros
