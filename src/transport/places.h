/* Where sockets are. One rule for programs, the command and weftd. */
#ifndef WEFT_TRANSPORT_PLACES_H
#define WEFT_TRANSPORT_PLACES_H

#include <stdbool.h>
#include <stddef.h>

#include <weft/err.h>

#define WEFT_PLACES_PATH_BYTES 4096
#define WEFT_PLACES_NODE_DIR "/run/weft"
#define WEFT_PLACES_CONTAINER_SOCKET "/run/weft/tenant.sock"
#define WEFT_PLACES_CONTROL_NAME "weftd.sock"

/* The user's own folder: $XDG_RUNTIME_DIR/weft where that is the user's, else a folder under
 * TMPDIR. It must be a real folder of mode 0700 that the user owns: WEFT_EPERM where it is
 * something else. `create` makes it; else WEFT_ENOENT where it is not there. */
int weft_places_private_dir(bool create, char dir[WEFT_PLACES_PATH_BYTES], struct weft_err *err);
/* DIR/NAME; WEFT_ERANGE where that is too long for a path. */
int weft_places_join(const char *dir, const char *name, char path[WEFT_PLACES_PATH_BYTES],
                     struct weft_err *err);
/* The socket by which a program knows its tenant: the container's, else $WEFT_SOCKET. WEFT_ENOENT
 * where there is neither. */
int weft_places_tenant_socket(const char **path, struct weft_err *err);

#endif
