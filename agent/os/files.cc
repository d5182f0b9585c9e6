#include "os/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "os/fd.h"

namespace fortros {

static constexpr std::size_t first_buffer_size = 4096;

static std::string quoted(const std::string& path) { return "'" + path + "'"; }

static Result<Fd> open_for_reading(const std::string& path, FileKind kind) {
    // Not blocking: a pipe in the place of a regular file must not hold up the boot.
    const int wait = kind == FileKind::Regular ? O_NONBLOCK : 0;
    Fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | wait)};
    if (!file.valid()) return fail_errno(errno, "cannot open " + quoted(path));
    struct stat status{};
    if (::fstat(file.get(), &status) < 0)
        return fail_errno(errno, "cannot look at " + quoted(path));
    if (kind == FileKind::Regular && !S_ISREG(status.st_mode))
        return fail(ErrorCode::InvalidData, quoted(path) + " is not a regular file");
    return file;
}

// Reads until the buffer is full or the file has ended; returns how much there was.
static Result<std::size_t> read_into(int fd, std::span<std::uint8_t> buffer,
                                     const std::string& path) {
    std::size_t size = 0;
    while (size < buffer.size()) {
        ssize_t count = ::read(fd, buffer.data() + size, buffer.size() - size);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail_errno(errno, "cannot read " + quoted(path));
        if (count == 0) break;
        size += static_cast<std::size_t>(count);
    }
    return size;
}

// A size in st_size is only a hint (0 in /proc), so the buffer grows; one byte more than the limit
// is asked for, to tell "as large as allowed" from "larger".
Result<SecretBytes> read_secret_file(const std::string& path, std::size_t limit, FileKind kind) {
    Fd file = TRY(open_for_reading(path, kind));
    SecretBytes buffer(std::min(limit + 1, first_buffer_size));
    std::size_t size = 0;
    while (true) {
        size += TRY(read_into(file.get(), buffer.writable().subspan(size), path));
        if (size > limit)
            return fail(ErrorCode::InvalidData,
                        quoted(path) + " is larger than " + std::to_string(limit) + " bytes");
        if (size < buffer.size()) break;
        SecretBytes larger(std::min(limit + 1, buffer.size() * 2));
        std::ranges::copy(buffer.view(), larger.writable().begin());
        buffer = std::move(larger);
    }
    return SecretBytes(buffer.view().first(size));
}

Result<std::string> read_file(const std::string& path, std::size_t limit, FileKind kind) {
    SecretBytes content = TRY(read_secret_file(path, limit, kind));
    return std::string(content.text());
}

static Status write_all(int fd, ByteView content, const std::string& path) {
    while (!content.empty()) {
        ssize_t count = ::write(fd, content.data(), content.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail_errno(errno, "cannot write " + quoted(path));
        content = content.subspan(static_cast<std::size_t>(count));
    }
    return {};
}

static std::string directory_of(const std::string& path) {
    auto slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

enum class OldFile { Replace, Refuse };

// Everything up to the rename; the caller removes the temporary file when this fails.
static Status fill_and_rename(const Fd& temporary, const std::string& temporary_path,
                              ByteView content, mode_t mode, const std::string& path,
                              OldFile old_file) {
    TRY(write_all(temporary.get(), content, path));
    if (::fchmod(temporary.get(), mode) < 0)
        return fail_errno(errno, "cannot set the mode of " + quoted(path));
    if (::fsync(temporary.get()) < 0)
        return fail_errno(errno, "cannot write " + quoted(path) + " to its disk");
    if (old_file == OldFile::Replace) {
        if (::rename(temporary_path.c_str(), path.c_str()) < 0)
            return fail_errno(errno, "cannot replace " + quoted(path));
        return {};
    }
    // Not by looking first: somebody may be faster.
    if (::link(temporary_path.c_str(), path.c_str()) < 0)
        return fail_errno(errno, "cannot create " + quoted(path));
    ::unlink(temporary_path.c_str());
    return {};
}

static Status write_whole(const std::string& path, ByteView content, mode_t mode,
                          OldFile old_file) {
    const std::string folder = directory_of(path);
    // Opened before anything is changed, so that afterwards only the disk itself can fail.
    Fd directory{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!directory.valid())
        return fail_errno(errno,
                          "cannot write " + quoted(path) + ": cannot open " + quoted(folder));

    std::string temporary_path = path + ".XXXXXX";
    Fd temporary{::mkostemp(temporary_path.data(), O_CLOEXEC)};  // mode 0600
    if (!temporary.valid()) return fail_errno(errno, "cannot create a file beside " + quoted(path));
    if (auto done = fill_and_rename(temporary, temporary_path, content, mode, path, old_file);
        !done) {
        ::unlink(temporary_path.c_str());
        return done;
    }
    // Some file systems can't sync a directory (EINVAL): there the rename itself has to do.
    if (::fsync(directory.get()) < 0 && errno != EINVAL)
        return fail_errno(errno, "cannot write the directory of " + quoted(path) + " to its disk");
    return {};
}

Status write_file(const std::string& path, ByteView content, mode_t mode) {
    return write_whole(path, content, mode, OldFile::Replace);
}

Status write_new_file(const std::string& path, ByteView content, mode_t mode) {
    return write_whole(path, content, mode, OldFile::Refuse);
}

Status make_directory(const std::string& path, mode_t mode) {
    if (::mkdir(path.c_str(), mode) < 0 && errno != EEXIST)
        return fail_errno(errno, "cannot make the directory " + quoted(path));
    Fd directory{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (!directory.valid()) return fail_errno(errno, quoted(path) + " is not a directory of ours");
    struct stat status{};
    if (::fstat(directory.get(), &status) < 0)
        return fail_errno(errno, "cannot look at " + quoted(path));
    if (status.st_uid != ::geteuid())
        return fail(ErrorCode::PermissionDenied, quoted(path) + " belongs to another user");
    if ((status.st_mode & 07777) != mode && ::fchmod(directory.get(), mode) < 0)
        return fail_errno(errno, "cannot set the mode of " + quoted(path));
    return {};
}

}  // namespace fortros
