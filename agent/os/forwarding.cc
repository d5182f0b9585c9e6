#include "os/forwarding.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/netconf.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "os/files.h"
#include "os/netlink.h"

namespace fortros {

static const std::string sysctls = "/proc/sys/net/ipv6/conf";
static constexpr std::size_t interfaces_limit = 65536;
static constexpr std::size_t value_limit = 64;

Result<bool> forwards_ipv6() {
    auto netlink = TRY(Netlink::create(NETLINK_ROUTE));
    NetlinkMessage request(RTM_GETNETCONF, 0, netconfmsg{.ncm_family = AF_INET6});
    request.u32(NETCONFA_IFINDEX, static_cast<std::uint32_t>(NETCONFA_IFINDEX_ALL));
    bool forwards = false;
    TRY(netlink.talk(
        request, "cannot ask whether IPv6 is forwarded", [&](const nlmsghdr& message) -> Status {
            const auto value = NetlinkAttributes::of<netconfmsg>(message).find(NETCONFA_FORWARDING);
            forwards = value && value->u32().value_or(0) != 0;
            return {};
        }));
    return forwards;
}

// A sysctl is written in one piece, and in place.
static Status write_sysctl(const std::string& path, std::string_view value) {
    const Fd file{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
    if (!file.valid() || ::write(file.get(), value.data(), value.size()) < 0)
        return fail_errno(errno, "cannot write '" + path + "'");
    return {};
}

static Result<std::vector<std::string>> interfaces() {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(sysctls.c_str()), ::closedir);
    if (!folder) return fail_errno(errno, "cannot list '" + sysctls + "'");
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(folder.get())) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != ".." && name != "all" && names.size() < interfaces_limit)
            names.emplace_back(name);
    }
    return names;
}

Status forward_ipv6() {
    if (TRY(forwards_ipv6())) return {};
    // "default" is among them: interfaces that come later are like it.
    for (const std::string& name : TRY(interfaces())) {
        const std::string path = sysctls + "/" + name + "/accept_ra";
        const auto value = read_file(path, value_limit);
        // An interface that has gone meanwhile needs nothing.
        if (!value || trim(*value) != "1") continue;
        if (Status status = write_sysctl(path, "2\n");
            !status && status.error().code != ErrorCode::NotFound)
            return status;
    }
    return write_sysctl(sysctls + "/all/forwarding", "1\n");
}

}  // namespace fortros
