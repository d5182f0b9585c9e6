// The C library's heap, with every block overwritten before it is given back: what a library forgets
// to wipe (libefivar a node's key, a string the rest of a token) does not lie about in free memory.
// Linked into the agent by the linker's --wrap, which leads every free() and realloc() here, those of
// libraries too.
#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

extern "C" {

// NOLINTBEGIN(bugprone-reserved-identifier): the linker's names
void __real_free(void* block);
void __wrap_free(void* block);
void* __wrap_realloc(void* block, std::size_t size);

void __wrap_free(void* block) {
    // With what malloc(3) has rounded it up by: a program may use that too.
    if (block) ::explicit_bzero(block, ::malloc_usable_size(block));
    __real_free(block);
}

// Never in place: what the C library cuts off or leaves behind it would not overwrite.
void* __wrap_realloc(void* block, std::size_t size) {
    if (!block) return std::malloc(size);
    void* moved = std::malloc(size);
    if (!moved) return nullptr;
    std::memcpy(moved, block, std::min(size, ::malloc_usable_size(block)));
    __wrap_free(block);
    return moved;
}
// NOLINTEND(bugprone-reserved-identifier)

}  // extern "C"
