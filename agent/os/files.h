// Files: read whole with a bound, replaced whole or not at all. It never follows what it was not
// asked to, never reads more than the caller allows, and every error names the path.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace fortros {

enum class FileKind {
    Regular,  // refuse devices, pipes and directories, without ever waiting for one
    Any,      // whatever can be read to an end: standard input, a pipe
};

// The whole file. NotFound if there is none, InvalidData if it is larger than `limit` bytes or not
// of `kind`. Files that report no size (/proc) are read to their end all the same.
Result<std::string> read_file(const std::string& path, std::size_t limit,
                              FileKind kind = FileKind::Regular);

// The same for a secret: no copy of the content is left behind in memory.
Result<SecretBytes> read_secret_file(const std::string& path, std::size_t limit,
                                     FileKind kind = FileKind::Regular);

// Replaces the file by `content`, so that whoever looks sees the old one or the new one, even after
// a power cut: a temporary file in the same directory, fsync, rename, fsync of the directory. On
// any failure before the rename the old file is untouched and the temporary one gone. The mode is
// exactly `mode`, whatever the umask. A symbolic link is replaced, not followed.
Status write_file(const std::string& path, ByteView content, mode_t mode);

// The same for a file that there is not yet: Exists, and nothing is changed, if there is one.
Status write_new_file(const std::string& path, ByteView content, mode_t mode);

// Makes sure that there is a directory with exactly this mode; an existing one is taken over if it
// is ours, a symbolic link is refused. Parents are not made.
Status make_directory(const std::string& path, mode_t mode);

}  // namespace fortros
