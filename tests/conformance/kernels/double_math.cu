/* Twelve functions of double precision of each x[i]: out[12 * i + k]. x in (0, 10). */
extern "C" __global__ void double_math(const double *x, double *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    double v = x[i], *o = out + 12 * i;
    o[0] = sin(v);
    o[1] = cos(v);
    o[2] = tan(v);
    o[3] = exp(v);
    o[4] = log(v);
    o[5] = pow(v, 1.5);
    o[6] = sqrt(v);
    o[7] = atan2(v, 2.0);
    o[8] = sinh(v);
    o[9] = cbrt(v);
    o[10] = fmod(v, 0.7);
    o[11] = erf(v) + 1.0 / v;
}
