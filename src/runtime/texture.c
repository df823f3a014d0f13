/* Textures, surfaces and arrays. */
#include "runtime/runtime.h"

struct cudaChannelFormatDesc weft_cudart_cudaCreateChannelDesc(int x, int y, int z, int w,
                                                               enum cudaChannelFormatKind kind)
{
    return (struct cudaChannelFormatDesc){.x = x, .y = y, .z = z, .w = w, .f = kind};
}
