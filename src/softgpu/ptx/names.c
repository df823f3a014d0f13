#include "softgpu/ptx/names.h"

#include <stdlib.h>
#include <string.h>

#include "softgpu/ptx/ptx.h"
#include "util/util.h"

#define BUCKETS_MIN 1024 /* a power of two */

static const char *const special_names[] = {
#define SPECIAL(name, text, type, components) "%" text,
#include "softgpu/ptx/specials.def"
#undef SPECIAL
};

/* FNV-1a (Fowler, Noll, Vo). */
static uint32_t hash_text(const char *text, size_t length)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    return hash;
}

bool weft_ptx_names_init(struct weft_ptx_names *names, struct weft_ptx_arena *spellings)
{
    *names = (struct weft_ptx_names){
        .spellings = spellings, .bucket_count = BUCKETS_MIN, .visible = UINT32_MAX};
    names->buckets = calloc(names->bucket_count, sizeof(struct weft_ptx_name *));
    if (!names->buckets)
        return false;
    for (uint32_t i = 0; i < WEFT_ARRAY_COUNT(special_names); i++) {
        struct weft_ptx_name *name =
            weft_ptx_names_intern(names, special_names[i], strlen(special_names[i]));
        if (!name)
            return false;
        name->special = i;
    }
    return true;
}

void weft_ptx_names_finish(struct weft_ptx_names *names)
{
    free(names->buckets);
    weft_ptx_arena_finish(&names->scratch);
    *names = (struct weft_ptx_names){0};
}

static bool grow_buckets(struct weft_ptx_names *names)
{
    size_t count = names->bucket_count * 2;
    struct weft_ptx_name **buckets = calloc(count, sizeof(struct weft_ptx_name *));
    if (!buckets)
        return false;
    for (size_t i = 0; i < names->bucket_count; i++) {
        struct weft_ptx_name *name = names->buckets[i];
        while (name) {
            struct weft_ptx_name *next = name->next;
            name->next = buckets[name->hash & (count - 1)];
            buckets[name->hash & (count - 1)] = name;
            name = next;
        }
    }
    free(names->buckets);
    names->buckets = buckets;
    names->bucket_count = count;
    return true;
}

static struct weft_ptx_name *find_name(const struct weft_ptx_names *names, const char *text,
                                       size_t length, uint32_t hash)
{
    struct weft_ptx_name *name = names->buckets[hash & (names->bucket_count - 1)];
    while (name &&
           (name->hash != hash || name->length != length || memcmp(name->text, text, length) != 0))
        name = name->next;
    return name;
}

struct weft_ptx_name *weft_ptx_names_intern(struct weft_ptx_names *names, const char *text,
                                            size_t length)
{
    uint32_t hash = hash_text(text, length);
    struct weft_ptx_name *name = find_name(names, text, length, hash);
    if (name)
        return name;
    if (names->count >= names->bucket_count && !grow_buckets(names))
        return NULL;
    name = weft_ptx_arena_alloc(&names->scratch, sizeof(*name));
    char *spelling = weft_ptx_arena_alloc(names->spellings, length + 1);
    if (!name || !spelling)
        return NULL;
    memcpy(spelling, text, length);
    *name = (struct weft_ptx_name){
        .text = spelling, .length = (uint32_t)length, .hash = hash, .special = WEFT_PTX_NONE};
    struct weft_ptx_name **bucket = &names->buckets[hash & (names->bucket_count - 1)];
    name->next = *bucket;
    *bucket = name;
    names->count++;
    return name;
}

void weft_ptx_names_open(struct weft_ptx_names *names)
{
    names->scopes[++names->depth] = (struct weft_ptx_naming_scope){0};
}

void weft_ptx_names_close(struct weft_ptx_names *names)
{
    struct weft_ptx_naming_scope *scope = &names->scopes[names->depth--];
    for (struct weft_ptx_binding *b = scope->bindings; b; b = b->next)
        b->name->binding = b->outer;
    for (struct weft_ptx_range *r = scope->ranges; r; r = r->next)
        r->name->range = r->outer;
}

const struct weft_ptx_binding *weft_ptx_names_meaning(const struct weft_ptx_names *names,
                                                      const struct weft_ptx_name *name)
{
    const struct weft_ptx_binding *binding = name->binding;
    bool later = binding && binding->depth == 0 && binding->serial > names->visible;
    return later ? NULL : binding;
}

const struct weft_ptx_binding *weft_ptx_names_taken(const struct weft_ptx_name *name,
                                                    uint32_t depth)
{
    return name->binding && name->binding->depth == depth ? name->binding : NULL;
}

struct weft_ptx_binding *weft_ptx_names_bind(struct weft_ptx_names *names,
                                             struct weft_ptx_name *name, uint32_t depth)
{
    struct weft_ptx_binding *binding = weft_ptx_arena_alloc(&names->scratch, sizeof(*binding));
    if (!binding)
        return NULL;
    struct weft_ptx_naming_scope *scope = &names->scopes[depth];
    *binding = (struct weft_ptx_binding){
        .depth = (uint8_t)depth, .name = name, .outer = name->binding, .next = scope->bindings};
    if (depth == 0)
        binding->serial = ++names->declared;
    scope->bindings = binding;
    name->binding = binding;
    return binding;
}

struct weft_ptx_range *weft_ptx_names_bind_range(struct weft_ptx_names *names,
                                                 struct weft_ptx_name *name)
{
    struct weft_ptx_range *range = weft_ptx_arena_alloc(&names->scratch, sizeof(*range));
    if (!range)
        return NULL;
    struct weft_ptx_naming_scope *scope = &names->scopes[names->depth];
    *range = (struct weft_ptx_range){
        .depth = (uint8_t)names->depth, .name = name, .outer = name->range, .next = scope->ranges};
    scope->ranges = range;
    name->range = range;
    return range;
}

/* Whether an open scope further in than `depth` has ranges: if not, a name's own meaning stands. */
static bool ranges_within(const struct weft_ptx_names *names, uint32_t depth)
{
    for (uint32_t i = names->depth; i > depth; i--)
        if (names->scopes[i].ranges)
            return true;
    return false;
}

const struct weft_ptx_range *weft_ptx_names_find_range(struct weft_ptx_names *names,
                                                       const struct weft_ptx_name *name)
{
    uint32_t depth = name->binding ? name->binding->depth : 0;
    if (name->binding && !ranges_within(names, depth))
        return NULL;
    const struct weft_ptx_range *best = NULL;
    uint64_t number = 0, scale = 1;
    for (uint32_t digits = 1; digits <= WEFT_PTX_RANGE_DIGITS_MAX && digits < name->length;
         digits++, scale *= 10) {
        const char *tail = name->text + name->length - digits;
        if (*tail < '0' || *tail > '9')
            break;
        number += (uint64_t)(*tail - '0') * scale;
        if (*tail == '0' && digits > 1)
            continue; /* the number in a range has no leading zero */
        size_t length = name->length - digits;
        const struct weft_ptx_name *prefix =
            find_name(names, name->text, length, hash_text(name->text, length));
        const struct weft_ptx_range *range = prefix ? prefix->range : NULL;
        if (range && number < range->count && (!name->binding || range->depth > depth) &&
            (!best || range->depth > best->depth))
            best = range;
    }
    return best;
}
