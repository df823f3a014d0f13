/* Who may use a device now: weighted fair shares of device time, five classes, caps. It works on
 * words in memory that processes share and any of them may leave at any instant by kill -9, so each
 * word is changed by one atomic instruction and no order of two of them matters for more than a
 * slice of work. Nothing here waits, allocates or looks at a clock: time is what callers charge,
 * and what they say that the device stood still.
 *
 * Shares: start-time fair queueing (Goyal, Guo, Cheng, "Start-time Fair Queueing", 1996). A
 * tenant's virtual time grows by what it used ÷ its weight; those who want the device may use it
 * while they are not more than a slack before the last of their class. Who comes back from doing
 * nothing starts where the others are, and who was kept from its share is owed no more than a
 * bounded lag, as the eligibility of EEVDF bounds it (Stoica, Abdel-Wahab, "Earliest Eligible
 * Virtual Deadline First", 1995). Who was away for no longer than a slack keeps its place: a
 * program whose queue runs empty between two launches did not do nothing.
 * Classes: the same, a level each, as in hierarchical packet fair queueing (Bennett, Zhang, 1996):
 * a class against all classes under it as 98 to 2. So the upper one goes first, and what is under
 * one that is always busy keeps 2 % together.
 * Caps: the virtual scheduling form of the generic cell rate algorithm (ITU-T I.371): a tenant's
 * due time moves on by what it used ÷ its rate, and it waits while that lies further ahead of the
 * device's clock than the burst allows. Debts stay until the clock has passed them.
 *
 * The device's clock is all that was used plus all that it stood still: it does not depend on how
 * fast the work is emulated. */
#ifndef WEFT_POLICY_SHARE_H
#define WEFT_POLICY_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#define WEFT_SHARE_WEIGHT_DEFAULT 100
#define WEFT_SHARE_WEIGHT_MAX 10000
#define WEFT_SHARE_CLASSES 5
#define WEFT_SHARE_CLASS_DEFAULT 2 /* from 0, the most urgent */
#define WEFT_SHARE_CAP_WHOLE 10000 /* in 1/100 %: no cap */
#define WEFT_SHARE_FLOOR_PERCENT 2
/* Of device time that a capped tenant may use at once when it used none before; what runs when the
 * cap is reached comes on top, and together they stay under the 10 ms that are promised. */
#define WEFT_SHARE_BURST_NS 4000000ull
/* How far who was kept from its share may stay behind, in times of the slack. */
#define WEFT_SHARE_LAG_SLACKS 4

/* What a tenant is promised. In shared memory one word, so that a change holds as a whole. */
struct weft_share_terms {
    uint32_t weight;   /* 1 … WEFT_SHARE_WEIGHT_MAX */
    uint32_t class;    /* 0 … WEFT_SHARE_CLASSES - 1 */
    uint32_t cap_e4;   /* in 1/100 %; WEFT_SHARE_CAP_WHOLE: none */
    uint32_t sequence; /* of the policy that they come from, its lowest 16 bits */
    bool stopped;      /* gets no time at all until weftd says otherwise */
};
/* Values that are out of range are taken for the nearest that is not. Never 0. */
uint64_t weft_share_terms_pack(const struct weft_share_terms *terms);
/* 0 stands for a tenant of whom nothing was said. */
struct weft_share_terms weft_share_terms_unpack(uint64_t word);

/* A tenant's line. Zeroed is a tenant of whom nothing was said, and who has used nothing. */
struct weft_share_tenant {
    uint64_t terms;      /* packed; weftd writes it */
    uint64_t used_ns;    /* monotone */
    uint64_t virtual_ns; /* used × WEFT_SHARE_WEIGHT_MAX ÷ weight, moved on by weft_share_enter */
    uint64_t due_ns;     /* of the device's clock, for the cap */
    uint64_t left_ns;    /* the device's clock when it last stopped wanting the device */
    uint64_t kernel_timeout_us; /* of device time that one kernel may take; weftd; 0: no limit */
    uint64_t slice;             /* policy/slice.h: its end, and of which policy */
    /* Averages of device time, for the length of slices; 0: not known. */
    uint32_t kernel_ns, stretch_ns;
};

/* A device's lines, one for each level of classes. `own` is the virtual time of the class, `rest`
 * that of all under it, `begun` where the one that was behind stood when work was last taken up. */
struct weft_share_level {
    uint64_t own, rest, begun;
    uint64_t tenants_begun; /* the same for the tenants of this class */
    uint64_t reserved[4];
};
struct weft_share {
    uint64_t used_ns, idle_ns; /* monotone; together the device's clock */
    uint64_t slack_ns;         /* device time that one tenant may be before another */
    uint64_t slice_ns;         /* the shortest slice */
    uint64_t slice_mode;       /* enum weft_slice_mode */
    uint64_t reserved[3];
    struct weft_share_level levels[WEFT_SHARE_CLASSES];
};

_Static_assert(sizeof(struct weft_share_tenant) == 64, "shared with other processes");
_Static_assert(sizeof(struct weft_share) == 64 * (1 + WEFT_SHARE_CLASSES),
               "shared with other processes");

uint64_t weft_share_clock(const struct weft_share *share);

/* Those who want the device at one moment, as far as they may by their caps. Filled by `add` with
 * each of them; adding one twice changes nothing. */
struct weft_share_view {
    const struct weft_share *share;
    uint64_t clock_ns;
    uint32_t classes;                      /* a bit for each that somebody is of */
    uint64_t least_ns[WEFT_SHARE_CLASSES]; /* virtual time of the last of the class */
    uint64_t who; /* a bit for each of them; where they are many, some share one */
};
void weft_share_view_begin(struct weft_share_view *view, const struct weft_share *share);
void weft_share_view_add(struct weft_share_view *view, const struct weft_share_tenant *tenant);

enum weft_share_verdict {
    WEFT_SHARE_RUN,
    WEFT_SHARE_WAIT, /* until others have used more */
    WEFT_SHARE_CAPPED,
};
/* Whether a tenant that wants the device, and is in the view unless it is capped, may use it. Where
 * it is CAPPED, *wait_ns is how far the device's clock has to go on. */
enum weft_share_verdict weft_share_judge(const struct weft_share_view *view,
                                         const struct weft_share_tenant *tenant, uint64_t *wait_ns);
/* The tenant wants the device and did not before; `view` holds the others. */
void weft_share_enter(struct weft_share *share, const struct weft_share_view *view,
                      struct weft_share_tenant *tenant);
/* It wants the device no more. */
void weft_share_leave(const struct weft_share *share, struct weft_share_tenant *tenant);
/* Work is taken up by somebody of the view: the point at which who comes later starts. */
void weft_share_begin(struct weft_share *share, const struct weft_share_view *view);
/* The tenant used so much device time. */
void weft_share_charge(struct weft_share *share, struct weft_share_tenant *tenant,
                       uint64_t time_ns);
/* The device stood still for so long since its clock was `clock_ns`; does nothing where that has
 * changed, since then somebody else has counted it, or used the device. */
void weft_share_stand_still(struct weft_share *share, uint64_t clock_ns, uint64_t time_ns);

#endif
