// The other half of many.cu.
#include "many.h"

#include <new>

struct square : shape {
    __device__ unsigned area(unsigned side) const override
    {
        return side * side;
    }
};

__device__ unsigned (*const mixes[2])(unsigned) = {mix<3>, mix<34>};

__device__ void make_square(void *memory)
{
    new (memory) square;
}
