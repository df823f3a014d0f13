/* Conversions with each rounding: out[10 * i + k] from x[i] in (-1000, 1000). */
extern "C" __global__ void conversions(const float *x, int *out)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x, *o = out + 10 * i;
    float v = x[i];
    double d = (double)v * 1.0000001;
    o[0] = __float2int_rn(v);
    o[1] = __float2int_rz(v);
    o[2] = __float2int_ru(v);
    o[3] = __float2int_rd(v);
    o[4] = __double2int_rn(d);
    o[5] = __float_as_int(__double2float_rn(d));
    o[6] = __float_as_int(__double2float_ru(d));
    o[7] = (int)(unsigned char)(v < 0 ? 0.0f : v);
    o[8] = __float_as_int((float)(long long)(d * 1e9));
    o[9] = __float_as_int(__int2float_rz(o[0] * 16777 + 3));
}
