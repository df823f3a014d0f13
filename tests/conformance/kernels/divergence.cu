/* The steps until in[i] reaches 1 by halving and 3 n + 1, with a branch for each third thread and an early exit. */
extern "C" __global__ void divergence(const unsigned *in, unsigned *out)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x, v = in[i], steps = 0;
    if (i % 7 == 6) {
        out[i] = 12345;
        return;
    }
    do {
        if (v <= 1)
            break;
        if (i % 3 == 0 && steps == 20)
            goto cut;
        v = v & 1 ? 3 * v + 1 : v / 2;
        steps++;
    } while (steps < 1000);
    out[i] = steps;
    return;
cut:
    out[i] = steps + 10000;
}
