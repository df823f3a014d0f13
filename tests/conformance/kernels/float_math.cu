/* Twelve functions of single precision of each x[i]: out[12 * i + k]. x in (0, 10). */
extern "C" __global__ void float_math(const float *x, float *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    float v = x[i], *o = out + 12 * i;
    o[0] = sinf(v);
    o[1] = cosf(v);
    o[2] = tanf(v);
    o[3] = expf(v);
    o[4] = logf(v);
    o[5] = powf(v, 2.5f);
    o[6] = sqrtf(v);
    o[7] = tanhf(v);
    o[8] = __expf(v) + __logf(v) + __sinf(v) + __cosf(v);
    o[9] = floorf(v) + ceilf(v) + rintf(v) + truncf(v);
    o[10] = fminf(v, 3.0f) + fmaxf(v, 4.0f) + fabsf(-v) + copysignf(v, -1.0f);
    o[11] = __fdividef(1.0f, v) + __frcp_rn(v) + __fsqrt_rz(v) + fmaf(v, v, 1.0f);
}
