#include "policy/flight.h"

#include "util/util.h"

/* Places at which a kernel may stand; where all are taken the first is given to who came last. */
#define PROBES 8
#define TWO_KERNELS 2
/* Averages take up an eighth of what is new. */
#define LEARN_SHIFT 3

static uint32_t place_of(uint64_t key, uint32_t probe)
{
    /* Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4). */
    return (uint32_t)((key * 0x9e3779b97f4a7c15ull >> 32) + probe) % WEFT_FLIGHT_KERNELS;
}

static const struct weft_flight_kernel *find(const struct weft_flight *flight, uint64_t key)
{
    for (uint32_t probe = 0; probe < PROBES; probe++) {
        const struct weft_flight_kernel *kernel = &flight->kernels[place_of(key, probe)];
        if (kernel->key == key)
            return kernel;
    }
    return NULL;
}

uint64_t weft_flight_guess_ns(const struct weft_flight *flight, uint64_t key)
{
    const struct weft_flight_kernel *kernel = find(flight, key);
    return kernel ? kernel->time_ns : WEFT_FLIGHT_FIRST_NS;
}

bool weft_flight_has_room(const struct weft_flight *flight, uint64_t key)
{
    const struct weft_flight_kernel *kernel = find(flight, key);
    if (flight->in_flight == 0)
        return true;
    if (!kernel || kernel->time_ns >= WEFT_FLIGHT_LONG_NS ||
        flight->in_flight_ns >= WEFT_FLIGHT_LONG_NS)
        return false;
    uint64_t bound = WEFT_FLIGHT_LATENCIES * flight->latency_ns;
    bound = WEFT_MAX(WEFT_FLIGHT_LEAST_NS, WEFT_MIN(bound, WEFT_FLIGHT_MOST_NS));
    return flight->in_flight < TWO_KERNELS || flight->in_flight_ns + kernel->time_ns <= bound;
}

uint64_t weft_flight_begin(struct weft_flight *flight, uint64_t key)
{
    uint64_t guess_ns = weft_flight_guess_ns(flight, key);
    flight->in_flight++;
    flight->in_flight_ns += guess_ns;
    return guess_ns;
}

void weft_flight_end(struct weft_flight *flight, uint64_t guess_ns)
{
    flight->in_flight--;
    flight->in_flight_ns -= guess_ns;
}

static struct weft_flight_kernel *find_or_take(struct weft_flight *flight, uint64_t key)
{
    struct weft_flight_kernel *taken = &flight->kernels[place_of(key, 0)];
    for (uint32_t probe = 0; probe < PROBES; probe++) {
        struct weft_flight_kernel *kernel = &flight->kernels[place_of(key, probe)];
        if (kernel->key == key)
            return kernel;
        if (kernel->key == 0) {
            taken = kernel;
            break;
        }
    }
    *taken = (struct weft_flight_kernel){.key = key};
    return taken;
}

void weft_flight_learn(struct weft_flight *flight, uint64_t key, uint64_t time_ns)
{
    struct weft_flight_kernel *kernel = find_or_take(flight, key);
    if (kernel->time_ns == 0)
        kernel->time_ns = time_ns;
    else if (time_ns > kernel->time_ns)
        kernel->time_ns += (time_ns - kernel->time_ns) / 2;
    else
        kernel->time_ns -= (kernel->time_ns - time_ns) >> LEARN_SHIFT;
    kernel->time_ns = WEFT_MAX(kernel->time_ns, 1u);
}

void weft_flight_learn_latency(struct weft_flight *flight, uint64_t latency_ns)
{
    uint64_t before = flight->latency_ns;
    flight->latency_ns =
        before ? before - (before >> LEARN_SHIFT) + (latency_ns >> LEARN_SHIFT) : latency_ns;
}
