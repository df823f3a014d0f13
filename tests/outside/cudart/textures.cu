// Texture and surface objects: linear filtering, addressing, arrays and mipmaps.
#include "check.h"
#include <cmath>
#include <vector>

__global__ void sample(float *out, cudaTextureObject_t texture, int w, int h)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
    if (x < w && y < h)
        out[y * w + x] = tex2D<float>(texture, x + 1.0f, y + 0.5f);
}

__global__ void fetch(int4 *out, cudaTextureObject_t texture, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        out[i] = tex1Dfetch<int4>(texture, n - 1 - i);
}

__global__ void invert(cudaSurfaceObject_t surface, int w, int h)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
    if (x >= w || y >= h)
        return;
    uchar4 texel = surf2Dread<uchar4>(surface, x * sizeof(uchar4), y);
    surf2Dwrite(make_uchar4(255 - texel.x, texel.y, texel.z, 255 - texel.w), surface,
                x * sizeof(uchar4), y);
}

static cudaTextureObject_t texture_of(const cudaResourceDesc &resource, cudaTextureFilterMode filter,
                                      cudaTextureAddressMode address, bool normalised)
{
    cudaTextureDesc how = {};
    cudaTextureObject_t texture;
    how.filterMode = filter;
    how.addressMode[0] = how.addressMode[1] = address;
    how.readMode = cudaReadModeElementType;
    how.normalizedCoords = normalised;
    OK(cudaCreateTextureObject(&texture, &resource, &how, nullptr));
    return texture;
}

static void check_filter()
{
    const int w = 64, h = 16;
    std::vector<float> host(w * h), back(w * h);
    for (int i = 0; i < w * h; i++)
        host[i] = float((i * 37) % 101);
    cudaArray_t array;
    cudaChannelFormatDesc format = cudaCreateChannelDesc<float>();
    OK(cudaMallocArray(&array, &format, w, h));
    OK(cudaMemcpy2DToArray(array, 0, 0, host.data(), w * sizeof(float), w * sizeof(float), h,
                           cudaMemcpyHostToDevice));
    cudaResourceDesc resource = {};
    resource.resType = cudaResourceTypeArray;
    resource.res.array.array = array;
    cudaTextureObject_t texture =
        texture_of(resource, cudaFilterModeLinear, cudaAddressModeClamp, false);
    float *out;
    OK(cudaMalloc(&out, w * h * sizeof(float)));
    sample<<<dim3(1, h), w>>>(out, texture, w, h);
    OK(cudaMemcpy(back.data(), out, w * h * sizeof(float), cudaMemcpyDeviceToHost));
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            float left = host[y * w + x], right = host[y * w + (x + 1 < w ? x + 1 : x)];
            CHECK(std::fabs(back[y * w + x] - (left + right) / 2) < 0.01f);
        }
    OK(cudaDestroyTextureObject(texture));
    OK(cudaFreeArray(array));
    OK(cudaFree(out));
}

static void check_linear()
{
    const int n = 1000;
    std::vector<int4> host(n), back(n);
    for (int i = 0; i < n; i++)
        host[i] = make_int4(i, -i, i * i, 7);
    int4 *in, *out;
    OK(cudaMalloc(&in, n * sizeof(int4)));
    OK(cudaMalloc(&out, n * sizeof(int4)));
    OK(cudaMemcpy(in, host.data(), n * sizeof(int4), cudaMemcpyHostToDevice));
    cudaResourceDesc resource = {};
    resource.resType = cudaResourceTypeLinear;
    resource.res.linear.devPtr = in;
    resource.res.linear.desc = cudaCreateChannelDesc<int4>();
    resource.res.linear.sizeInBytes = n * sizeof(int4);
    cudaTextureObject_t texture =
        texture_of(resource, cudaFilterModePoint, cudaAddressModeClamp, false);
    fetch<<<8, 128>>>(out, texture, n);
    OK(cudaMemcpy(back.data(), out, n * sizeof(int4), cudaMemcpyDeviceToHost));
    for (int i = 0; i < n; i++)
        CHECK(back[i].x == n - 1 - i && back[i].y == -(n - 1 - i) && back[i].w == 7);
    OK(cudaDestroyTextureObject(texture));
    OK(cudaFree(in));
    OK(cudaFree(out));
}

static void check_surface()
{
    const int w = 40, h = 9;
    std::vector<uchar4> host(w * h), back(w * h);
    for (int i = 0; i < w * h; i++)
        host[i] = make_uchar4(i, i + 1, i + 2, i + 3);
    cudaArray_t array;
    cudaChannelFormatDesc format = cudaCreateChannelDesc<uchar4>();
    OK(cudaMallocArray(&array, &format, w, h, cudaArraySurfaceLoadStore));
    OK(cudaMemcpy2DToArray(array, 0, 0, host.data(), w * 4, w * 4, h, cudaMemcpyHostToDevice));
    cudaResourceDesc resource = {};
    resource.resType = cudaResourceTypeArray;
    resource.res.array.array = array;
    cudaSurfaceObject_t surface;
    OK(cudaCreateSurfaceObject(&surface, &resource));
    invert<<<dim3(1, h), 64>>>(surface, w, h);
    OK(cudaMemcpy2DFromArray(back.data(), w * 4, array, 0, 0, w * 4, h, cudaMemcpyDeviceToHost));
    for (int i = 0; i < w * h; i++)
        CHECK(back[i].x == 255 - host[i].x && back[i].y == host[i].y && back[i].w == 255 - host[i].w);
    OK(cudaDestroySurfaceObject(surface));
    OK(cudaFreeArray(array));
}

int main()
{
    check_filter();
    check_linear();
    check_surface();
}
