// The files in which others in the initramfs leave the resolvers that they have found: read whenever
// one appears or changes (inotify), never asked for again and again. It writes nothing.
//
//   initramfs-tools   /run/net-LINK.conf
//   dracut            /tmp/net.LINK.resolv.conf, /tmp/dhclient.LINK.dhcpopts
//   NetworkManager    /run/NetworkManager/devices/IFINDEX, /run/NetworkManager/resolv.conf
//   systemd-networkd  /run/systemd/netif/links/IFINDEX, /run/systemd/netif/leases/IFINDEX
//   systemd-resolved  /run/systemd/resolve/resolv.conf
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/address.h"
#include "core/adopted_resolvers.h"
#include "os/fd.h"
#include "os/loop.h"

namespace fortros {

class AdoptedFiles {
public:
    // `changed` is called from the loop when resolvers() may say something else now; it may not
    // destroy the AdoptedFiles. `loop` must outlive them.
    static Result<std::unique_ptr<AdoptedFiles>> start(Loop& loop, std::function<void()> changed);
    AdoptedFiles(const AdoptedFiles&) = delete;
    AdoptedFiles& operator=(const AdoptedFiles&) = delete;
    ~AdoptedFiles() = default;

    // Of one link, and then those that its writer has not bound to any.
    std::vector<IpAddress> resolvers(unsigned ifindex, const std::string& name) const;

private:
    explicit AdoptedFiles(std::function<void()> changed) : m_changed(std::move(changed)) {}

    void watch_directories();
    void heard();

    std::function<void()> m_changed;
    Fd m_inotify;
    Loop::Watch m_watch;  // goes before the descriptor
};

}  // namespace fortros
