// The services database (/etc/services and whatever nsswitch.conf adds), as an empty one. c-ares
// can name a port, and we never ask it to; but its reference alone would link 100 KB of the C
// library's name service switch into a static program, with a run-time need for shared libraries.
#include <netdb.h>

#include <cerrno>

extern "C" int getservbyname_r(const char*, const char*, servent*, char*, std::size_t,
                               servent** result) {
    *result = nullptr;
    return ENOENT;
}

extern "C" int getservbyport_r(int, const char*, servent*, char*, std::size_t, servent** result) {
    *result = nullptr;
    return ENOENT;
}
