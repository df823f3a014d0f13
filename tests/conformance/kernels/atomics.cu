/* Every atomic operation on the words of `cells`, by every thread once; what each thread saw goes to no one. cells: add, sub
 * (by 1 each), min, max, and, or, xor, inc to 99, dec from 99, exchange, and at the end a 64-bit maximum in wide[0] and a
 * float sum in real[0], which are exact for small numbers. */
extern "C" __global__ void atomics(unsigned *cells, unsigned long long *wide, float *real)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    atomicAdd(&cells[0], i);
    atomicSub(&cells[1], 1);
    atomicMin((int *)&cells[2], (int)i - 50);
    atomicMax(&cells[3], i);
    atomicAnd(&cells[4], ~(1u << i % 32));
    atomicOr(&cells[5], 1u << i % 32);
    atomicXor(&cells[6], i);
    atomicInc(&cells[7], 99);
    atomicDec(&cells[8], 99);
    atomicExch(&cells[9], 42);
    atomicMax(&wide[0], (unsigned long long)i << 33);
    atomicAdd(&wide[1], 0x100000001ull);
    atomicAdd(&real[0], 1.0f);
}
