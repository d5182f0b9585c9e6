#include "os/adopted_files.h"

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "os/files.h"

namespace fortros {

namespace {

enum class Named : std::uint8_t {
    ByName,
    ByIndex,
    NotAtAll
};  // how a file says which link it means

struct Source {
    std::string_view before;  // the link's name or number comes between
    std::string_view after;
    Named named;
};

}  // namespace

static constexpr Source sources[] = {
    {"/run/net-", ".conf", Named::ByName},
    {"/tmp/net.", ".resolv.conf", Named::ByName},
    {"/tmp/dhclient.", ".dhcpopts", Named::ByName},
    {"/run/systemd/netif/links/", "", Named::ByIndex},
    {"/run/systemd/netif/leases/", "", Named::ByIndex},
    {"/run/NetworkManager/devices/", "", Named::ByIndex},
    {"/run/NetworkManager/resolv.conf", "", Named::NotAtAll},
    {"/run/systemd/resolve/resolv.conf", "", Named::NotAtAll},
};

// Written and closed, put in place by rename(2), taken away; or a directory that comes or goes.
static constexpr std::uint32_t interesting =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ONLYDIR;

Result<std::unique_ptr<AdoptedFiles>> AdoptedFiles::start(Loop& loop,
                                                          std::function<void()> changed) {
    std::unique_ptr<AdoptedFiles> files(new AdoptedFiles(std::move(changed)));
    files->m_inotify = Fd{::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
    if (!files->m_inotify.valid()) return fail_errno(errno, "cannot watch files");
    files->m_watch = TRY(loop.watch(files->m_inotify.get(), EPOLLIN,
                                    [raw = files.get()](std::uint32_t) { raw->heard(); }));
    files->watch_directories();
    return files;
}

// Every directory on the way to a file that is there by now, so that one that is made later is
// heard of. Top down: what is made meanwhile is an event. To watch one again changes nothing.
void AdoptedFiles::watch_directories() {
    for (const Source& source : sources)
        for (std::size_t slash = source.before.find('/', 1); slash != std::string_view::npos;
             slash = source.before.find('/', slash + 1))
            if (::inotify_add_watch(m_inotify.get(),
                                    std::string(source.before.substr(0, slash)).c_str(),
                                    interesting) < 0)
                break;
}

void AdoptedFiles::heard() {
    alignas(inotify_event) std::array<char, 4096> events;
    // Which they were does not matter: whoever is told looks at everything.
    while (::read(m_inotify.get(), events.data(), events.size()) > 0) {
    }
    watch_directories();
    m_changed();
}

static void add_from(const std::string& path, std::vector<IpAddress>& resolvers) {
    const auto text = read_file(path, adopted_text_limit);
    if (!text) return;  // not there, most often
    for (const IpAddress& resolver : parse_adopted_resolvers(*text))
        if (std::ranges::find(resolvers, resolver) == resolvers.end())
            resolvers.push_back(resolver);
}

std::vector<IpAddress> AdoptedFiles::resolvers(unsigned ifindex, const std::string& name) const {
    std::vector<IpAddress> resolvers;
    for (const Source& source : sources) {
        std::string path(source.before);
        if (source.named == Named::ByName) path += name;
        if (source.named == Named::ByIndex) path += std::to_string(ifindex);
        add_from(path.append(source.after), resolvers);
    }
    return resolvers;
}

}  // namespace fortros
