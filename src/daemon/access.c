/* Who may do what. The kernel says who a peer is; nothing that it says itself is looked at. */
#include "daemon/daemon.h"

int weft_daemon_tenant_allow(const struct weft_daemon_tenant *tenant, uid_t uid,
                             struct weft_err *err)
{
    if (uid == 0 || uid == tenant->uid)
        return 0;
    return weft_fail(err, WEFT_EPERM,
                     "tenant %s belongs to uid %u; only that user and root may join or change it",
                     tenant->name, (unsigned)tenant->uid);
}

bool weft_daemon_is_listed(const struct weft_access *list, const struct weft_link *link, uid_t uid)
{
    for (uint32_t i = 0; i < list->uid_count; i++) {
        if (list->uids[i] == uid)
            return true;
    }
    for (uint32_t i = 0; i < list->gid_count; i++) {
        if (weft_unix_peer_in_group(link, list->gids[i]))
            return true;
    }
    return false;
}

int weft_daemon_tenant_admit(const struct weft_daemon_tenant *tenant,
                             const struct weft_access *list, const struct weft_link *link,
                             uid_t uid, struct weft_err *err)
{
    return weft_daemon_is_listed(list, link, uid) ? 0 : weft_daemon_tenant_allow(tenant, uid, err);
}

bool weft_daemon_is_operator(const struct weft_daemon *daemon, const struct weft_link *link,
                             uid_t uid)
{
    return uid == 0 || uid == geteuid() || weft_daemon_is_listed(&daemon->operators, link, uid);
}

int weft_daemon_need_operator(const struct weft_daemon *daemon, const struct weft_link *link,
                              uid_t uid, struct weft_err *err)
{
    if (weft_daemon_is_operator(daemon, link, uid))
        return 0;
    return weft_fail(err, WEFT_EPERM,
                     "uid %u may not add tenants; root, who runs weftd (uid %u) and the operators "
                     "of its configuration may",
                     (unsigned)uid, (unsigned)geteuid());
}

int weft_daemon_tenant_need_owner(const struct weft_daemon_tenant *tenant,
                                  const struct weft_link *link, uid_t uid, struct weft_err *err)
{
    if (weft_daemon_is_operator(tenant->daemon, link, uid) || uid == tenant->uid)
        return 0;
    return weft_fail(err, WEFT_EPERM,
                     "tenant %s belongs to uid %u; only that user, root and operators may remove "
                     "it or say who else may use it",
                     tenant->name, (unsigned)tenant->uid);
}
