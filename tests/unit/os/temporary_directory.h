// A directory of its own for a test that needs real files; removed with everything in it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace fortros {

class TemporaryDirectory {
public:
    TemporaryDirectory() {
        std::string pattern = std::filesystem::temp_directory_path() / "fortros-test-XXXXXX";
        if (const char* made = ::mkdtemp(pattern.data())) m_path = made;
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    ~TemporaryDirectory() {
        std::error_code ignored;
        if (!m_path.empty()) std::filesystem::remove_all(m_path, ignored);
    }

    std::string path(const std::string& name) const { return m_path + "/" + name; }
    const std::string& path() const { return m_path; }

    // How many entries there are.
    std::size_t count() const {
        auto entries = std::filesystem::directory_iterator(m_path);
        return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
    }

private:
    std::string m_path;
};

}  // namespace fortros
