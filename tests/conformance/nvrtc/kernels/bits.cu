// Integers and bits: 64-bit products and quotients, shifts, permutations, constants, switches, packed and half numbers.
__constant__ unsigned table[8] = {3, 1, 4, 1, 5, 9, 2, 6};
__device__ unsigned long long total;

extern "C" __global__ void bits(const unsigned *in, unsigned long long *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    unsigned a = in[2 * i], b = in[2 * i + 1] | 1;
    unsigned long long *row = out + 12 * i;
    unsigned long long wide = ((unsigned long long)a << 32) | b;
    row[0] = wide * 0x9e3779b97f4a7c15ull;
    row[1] = wide / b;
    row[2] = (unsigned long long)((long long)wide % (long long)(b >> 3 | 1));
    row[3] = __umul64hi(wide, ~wide);
    row[4] = (unsigned long long)__popc(a) << 32 | (unsigned)__clz(b);
    row[5] = (unsigned long long)__brev(a) << 32 | __byte_perm(a, b, 0x3715);
    row[6] = (unsigned long long)__funnelshift_l(a, b, i) << 32 | (unsigned)__ffs(a);
    row[7] = table[a % 8] + 10 * table[b % 8];
    switch (a % 11) {
    case 0:
        row[8] = a / 7;
        break;
    case 1:
        row[8] = b / 13;
        break;
    case 2:
        row[8] = a ^ b;
        /* falls through */
    case 3:
        row[8] = a - b;
        break;
    case 4:
        row[8] = (unsigned)((int)a >> (b % 32));
        break;
    case 7:
        row[8] = a << (b % 32);
        break;
    case 9:
        row[8] = (unsigned char)a * (short)b;
        break;
    default:
        row[8] = (unsigned)__mulhi((int)a, (int)b);
        break;
    }
    row[9] = (unsigned)__mul24((int)a, (int)b);
    row[10] = (unsigned long long)(long long)(signed char)a;
    row[11] = (unsigned long long)(a * b) ^ (unsigned long long)__usad(a, b, 5);
    atomicAdd(&total, (unsigned long long)a);
}

extern "C" __global__ void get_total(unsigned long long *out)
{
    *out = total;
}
