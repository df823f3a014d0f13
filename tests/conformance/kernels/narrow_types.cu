/* Bytes, half words and bit fields: out[i] packs what arithmetic of 8 and 16 bits makes of in[i]. */
struct fields {
    unsigned low : 5;
    int middle : 11;
    unsigned high : 16;
};

extern "C" __global__ void narrow_types(const unsigned *in, unsigned long long *out)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned v = in[i];
    signed char a = (signed char)v;
    unsigned char b = (unsigned char)(v >> 8);
    short c = (short)(v >> 3);
    struct fields f;
    f.low = v;
    f.middle = (int)(v >> 5);
    f.high = v >> 16;
    a = (signed char)(a * 3 - 1);
    b = (unsigned char)(b + 200);
    c = (short)(c / 7);
    unsigned mixed = __byte_perm(v, ~v, 0x2536) ^ __funnelshift_l(v, v * 3, 7);
    out[i] = (unsigned char)a | (unsigned long long)b << 8 | (unsigned long long)(unsigned short)c << 16 |
             (unsigned long long)(mixed + f.low + f.middle * 2 + f.high * 3) << 32;
}
