/* A structure as a parameter, as an argument and as a result: out[i] is in[i] moved by `by`, its tags reversed. */
struct item {
    double weight;
    short tags[5];
    char kind;
};

struct shift {
    float factor;
    struct item base;
    unsigned char step;
};

__device__ __noinline__ struct item move_item(struct item one, struct shift by)
{
    struct item moved = one;
    moved.weight = one.weight * by.factor + by.base.weight;
    for (int i = 0; i < 5; i++)
        moved.tags[i] = one.tags[4 - i] + by.base.tags[i];
    moved.kind = one.kind + by.step;
    return moved;
}

extern "C" __global__ void struct_by_value(struct shift by, const struct item *in, struct item *out)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    out[i] = move_item(in[i], by);
}
