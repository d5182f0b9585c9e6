// Every block that C++ gives back is overwritten first: what was a request with an invite in it, its
// JSON or a part of either, does not lie about in free memory. The C library's own heap, and what
// OpenSSL and SQLite have of it, stay as they are; OpenSSL wipes its keys itself.
#include <malloc.h>

#include <cstdlib>
#include <cstring>
#include <new>

static void give_back(void* block) noexcept {
    if (block) ::explicit_bzero(block, ::malloc_usable_size(block));
    std::free(block);
}

// The other forms of the standard library (of arrays, with a size, with nothrow) lead here.
void operator delete(void* block) noexcept { give_back(block); }
void operator delete(void* block, std::size_t) noexcept { give_back(block); }
void operator delete(void* block, std::align_val_t) noexcept { give_back(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { give_back(block); }
