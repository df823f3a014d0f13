/* A doubly linked list through links inside the listed objects. The head is a link too. */
#ifndef WEFT_SOFTGPU_ENGINE_LIST_H
#define WEFT_SOFTGPU_ENGINE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "util/util.h"

struct weft_soft_link {
    struct weft_soft_link *previous, *next; /* NULL: in no list */
};

static inline void weft_soft_list_init(struct weft_soft_link *head)
{
    head->previous = head->next = head;
}

static inline bool weft_soft_list_is_empty(const struct weft_soft_link *head)
{
    return head->next == head;
}

static inline bool weft_soft_link_is_listed(const struct weft_soft_link *link)
{
    return link->next != NULL;
}

static inline void weft_soft_list_append(struct weft_soft_link *head, struct weft_soft_link *link)
{
    link->previous = head->previous;
    link->next = head;
    head->previous->next = link;
    head->previous = link;
}

static inline void weft_soft_list_remove(struct weft_soft_link *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    link->previous = link->next = NULL;
}

#endif
