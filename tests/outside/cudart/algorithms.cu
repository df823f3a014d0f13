// Thrust and CUB: sort, scan and reduce, against the host.
#include "check.h"
#include <algorithm>
#include <cub/cub.cuh>
#include <numeric>
#include <thrust/device_vector.h>
#include <thrust/reduce.h>
#include <thrust/scan.h>
#include <thrust/sort.h>
#include <vector>

int main()
{
    const int n = 20000;
    std::vector<int> host(n), back(n);
    unsigned state = 1;
    for (int &value : host)
        value = int((state = state * 1664525u + 1013904223u) >> 8) % 10007;
    thrust::device_vector<int> device(host.begin(), host.end());
    CHECK(thrust::reduce(device.begin(), device.end(), 0) == std::accumulate(host.begin(), host.end(), 0));
    thrust::device_vector<int> sums(n);
    thrust::inclusive_scan(device.begin(), device.end(), sums.begin());
    thrust::copy(sums.begin(), sums.end(), back.begin());
    std::vector<int> expected(n);
    std::partial_sum(host.begin(), host.end(), expected.begin());
    CHECK(back == expected);

    void *temporary = nullptr;
    size_t bytes = 0;
    thrust::device_vector<int> sorted(n);
    const int *in = thrust::raw_pointer_cast(device.data());
    int *out = thrust::raw_pointer_cast(sorted.data());
    OK(cub::DeviceRadixSort::SortKeys(temporary, bytes, in, out, n));
    OK(cudaMalloc(&temporary, bytes));
    OK(cub::DeviceRadixSort::SortKeys(temporary, bytes, in, out, n));
    thrust::copy(sorted.begin(), sorted.end(), back.begin());
    thrust::sort(device.begin(), device.end(), thrust::greater<int>());
    thrust::copy(device.begin(), device.end(), expected.begin());
    std::sort(host.begin(), host.end());
    CHECK(back == host);
    std::reverse(host.begin(), host.end());
    CHECK(expected == host);
    OK(cudaFree(temporary));
}
