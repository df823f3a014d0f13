// The functions of the mathematical library: one column of the result each.
extern "C" __global__ void functions_double(const double *in, double *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    double x = in[i];
    double *row = out + 16 * i;
    row[0] = sin(x);
    row[1] = cos(x);
    row[2] = tan(x);
    row[3] = exp(x / 8);
    row[4] = log(fabs(x) + 0.25);
    row[5] = pow(fabs(x) + 0.5, 1.75);
    row[6] = sqrt(fabs(x));
    row[7] = cbrt(x);
    row[8] = atan2(x, 3.0);
    row[9] = tanh(x / 4);
    row[10] = erf(x / 3);
    row[11] = tgamma(fabs(x) / 8 + 1);
    row[12] = fmod(x, 0.7);
    row[13] = asin(x / 64);
    row[14] = rint(x * 1.5);
    row[15] = hypot(x, 2.0) / 3;
}

extern "C" __global__ void functions_single(const float *in, float *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    float x = in[i];
    float *row = out + 16 * i;
    row[0] = sinf(x);
    row[1] = cosf(x);
    row[2] = tanf(x);
    row[3] = expf(x / 8);
    row[4] = logf(fabsf(x) + 0.25f);
    row[5] = powf(fabsf(x) + 0.5f, 1.75f);
    row[6] = sqrtf(fabsf(x));
    row[7] = cbrtf(x);
    row[8] = atan2f(x, 3.0f);
    row[9] = tanhf(x / 4);
    row[10] = erff(x / 3);
    row[11] = tgammaf(fabsf(x) / 8 + 1);
    row[12] = fmodf(x, 0.7f);
    row[13] = asinf(x / 64);
    row[14] = rintf(x * 1.5f);
    row[15] = hypotf(x, 2.0f) / 3;
}

extern "C" __global__ void functions_fast(const float *in, float *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    float x = in[i];
    float *row = out + 8 * i;
    row[0] = __sinf(x / 16);
    row[1] = __cosf(x / 16);
    row[2] = __expf(x / 8);
    row[3] = __logf(fabsf(x) + 0.25f);
    row[4] = __powf(fabsf(x) + 0.5f, 1.75f);
    row[5] = __fdividef(x, 3.0f);
    row[6] = rsqrtf(fabsf(x) + 0.5f);
    row[7] = __frcp_rn(x + 100.0f);
}
