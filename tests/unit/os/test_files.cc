#include "os/files.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <thread>

#include "unit/os/temporary_directory.h"

using namespace fortros;

namespace {

void put(const std::string& path, const std::string& content) {
    std::ofstream(path, std::ios::binary) << content;
}

mode_t mode_of(const std::string& path) {
    struct stat status{};
    REQUIRE(::lstat(path.c_str(), &status) == 0);
    return status.st_mode & 07777;
}

// Whether the error says which file it is about.
bool names(const Error& error, const std::string& path) {
    return error.text().find("'" + path + "'") != std::string::npos;
}

// Lets no file of this process grow beyond `bytes`, as a full disk would.
class FileSizeLimit {
public:
    explicit FileSizeLimit(rlim_t bytes) {
        ::getrlimit(RLIMIT_FSIZE, &m_before);
        m_handler = std::signal(SIGXFSZ, SIG_IGN);
        rlimit now{bytes, m_before.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &now);
    }
    ~FileSizeLimit() {
        ::setrlimit(RLIMIT_FSIZE, &m_before);
        std::signal(SIGXFSZ, m_handler);
    }

private:
    rlimit m_before{};
    void (*m_handler)(int) = nullptr;
};

}  // namespace

// Settings, certificates and invites would be cut off.
TEST_CASE("files: a file is read whole, whatever its size up to the limit") {
    TemporaryDirectory folder;
    for (std::size_t size : {0UL, 1UL, 4095UL, 4096UL, 4097UL, 20000UL}) {
        std::string content(size, 'x');
        put(folder.path("f"), content);
        auto text = read_file(folder.path("f"), 20000);
        REQUIRE(text.has_value());
        CHECK(*text == content);
        auto secret = read_secret_file(folder.path("f"), 20000);
        REQUIRE(secret.has_value());
        CHECK(secret->text() == content);
    }
}

// A wrong file in the place of a small one would fill the memory of a small machine.
TEST_CASE("files: a file larger than the limit is refused by name") {
    TemporaryDirectory folder;
    put(folder.path("f"), std::string(101, 'x'));
    CHECK(read_file(folder.path("f"), 101).has_value());
    auto text = read_file(folder.path("f"), 100);
    REQUIRE_FALSE(text.has_value());
    CHECK(text.error().code == ErrorCode::InvalidData);
    CHECK(names(text.error(), folder.path("f")));
    CHECK_FALSE(read_file("/dev/zero", 5000, FileKind::Any).has_value());
}

// An operator would not know which file to put where.
TEST_CASE("files: a missing file is NotFound and named") {
    auto text = read_file("/nonexistent/settings", 100);
    REQUIRE_FALSE(text.has_value());
    CHECK(text.error().code == ErrorCode::NotFound);
    CHECK(names(text.error(), "/nonexistent/settings"));
}

// The boot would hang on a pipe, or read a device for ever.
TEST_CASE("files: what is not a regular file is refused without waiting") {
    TemporaryDirectory folder;
    REQUIRE(::mkfifo(folder.path("pipe").c_str(), 0600) == 0);
    for (const std::string& path : {folder.path("pipe"), folder.path(), std::string("/dev/null")}) {
        auto text = read_file(path, 100);
        REQUIRE_FALSE(text.has_value());
        CHECK(text.error().code == ErrorCode::InvalidData);
        CHECK(names(text.error(), path));
    }
    CHECK(read_file("/dev/null", 100, FileKind::Any).has_value());
}

// The kernel command line would read as empty.
TEST_CASE("files: files of /proc, which tell no size, are read to their end") {
    auto text = read_file("/proc/self/status", 65536);
    REQUIRE(text.has_value());
    CHECK(text->find("Pid:") != std::string::npos);
}

// A hand-off or a key would be missing, or readable by everyone.
TEST_CASE("files: a written file has its content and exactly its mode") {
    TemporaryDirectory folder;
    mode_t umask_before = ::umask(0077);
    REQUIRE(write_file(folder.path("f"), as_bytes("one"), 0644).has_value());
    CHECK(mode_of(folder.path("f")) == 0644);
    ::umask(umask_before);
    REQUIRE(write_file(folder.path("f"), as_bytes("two"), 0600).has_value());
    CHECK(mode_of(folder.path("f")) == 0600);
    CHECK(*read_file(folder.path("f"), 100) == "two");
    CHECK(folder.count() == 1);
}

// The maintainer would start on half a hand-off, or on none.
TEST_CASE("files: a reader sees the old content or the new, never a part or a gap") {
    TemporaryDirectory folder;
    const std::string path = folder.path("f");
    const std::string contents[] = {std::string(9000, 'a'), std::string(9000, 'b')};
    REQUIRE(write_file(path, as_bytes(contents[0]), 0600).has_value());
    std::atomic<bool> done = false;
    std::size_t torn = 0;
    std::thread reader([&] {
        while (!done) {
            auto seen = read_file(path, 10000);
            if (!seen || (*seen != contents[0] && *seen != contents[1])) ++torn;
        }
    });
    for (int i = 0; i < 300; ++i) CHECK(write_file(path, as_bytes(contents[i % 2]), 0600));
    done = true;
    reader.join();
    CHECK(torn == 0);
}

// A full disk would cost the node its key.
TEST_CASE("files: a write that fails leaves the old file and nothing else") {
    TemporaryDirectory folder;
    REQUIRE(write_file(folder.path("f"), as_bytes("old"), 0600).has_value());
    {
        FileSizeLimit full(1000);
        auto done = write_file(folder.path("f"), as_bytes(std::string(2000, 'n')), 0600);
        REQUIRE_FALSE(done.has_value());
        CHECK(names(done.error(), folder.path("f")));
    }
    CHECK(*read_file(folder.path("f"), 100) == "old");
    CHECK(folder.count() == 1);
}

// The same, where the last step fails: half a hand-off would look like a whole one.
TEST_CASE("files: a rename that fails leaves no temporary file") {
    TemporaryDirectory folder;
    REQUIRE(::mkdir(folder.path("f").c_str(), 0700) == 0);
    auto done = write_file(folder.path("f"), as_bytes("new"), 0600);
    REQUIRE_FALSE(done.has_value());
    CHECK(folder.count() == 1);
}

// An attacker who may put a link there would have us overwrite any file.
TEST_CASE("files: a symbolic link is replaced, not followed") {
    TemporaryDirectory folder;
    put(folder.path("target"), "untouched");
    REQUIRE(::symlink(folder.path("target").c_str(), folder.path("f").c_str()) == 0);
    REQUIRE(write_file(folder.path("f"), as_bytes("new"), 0600).has_value());
    CHECK(*read_file(folder.path("target"), 100) == "untouched");
    CHECK(*read_file(folder.path("f"), 100) == "new");
}

// An operator would look for the wrong thing.
TEST_CASE("files: writing into a missing directory says which") {
    auto done = write_file("/nonexistent/folder/f", as_bytes("x"), 0600);
    REQUIRE_FALSE(done.has_value());
    CHECK(done.error().code == ErrorCode::NotFound);
    CHECK(names(done.error(), "/nonexistent/folder"));
}

// The events and the hand-off would be readable by everyone.
TEST_CASE("files: a directory is made, or taken over, with exactly its mode") {
    TemporaryDirectory folder;
    mode_t umask_before = ::umask(0077);
    REQUIRE(make_directory(folder.path("d"), 0755).has_value());
    ::umask(umask_before);
    CHECK(mode_of(folder.path("d")) == 0755);
    REQUIRE(make_directory(folder.path("d"), 0700).has_value());
    CHECK(mode_of(folder.path("d")) == 0700);
}

// Somebody else could choose where our files go.
TEST_CASE("files: a directory's place taken by something else is an error") {
    TemporaryDirectory folder;
    put(folder.path("file"), "");
    REQUIRE(::symlink("/tmp", folder.path("link").c_str()) == 0);
    CHECK_FALSE(make_directory(folder.path("file"), 0700).has_value());
    CHECK_FALSE(make_directory(folder.path("link"), 0700).has_value());
    CHECK_FALSE(make_directory(folder.path("no/parent"), 0700).has_value());
}
