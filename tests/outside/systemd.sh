#!/bin/sh
# systemd.sh BUILD: boots systemd in namespaces of its own over a copy-on-write view of this machine, with weft installed in it, and
# uses the service as an administrator does. Breaks when the units do not start by their socket, when a restart, a kill -9 or a
# reload loses a running program, or when a faulty configuration is taken.
build=$1
[ "$(id -u)" = 0 ] && [ -x /lib/systemd/systemd ] && command -v nsenter >/dev/null || {
    echo "needs root, systemd and util-linux"
    exit 77
}
place=$(mktemp -d)
root=$place/root
manager=
finish() {
    [ -z "$manager" ] || kill -9 "$manager" 2>/dev/null
    umount -l "$root" "$place" 2>/dev/null
    rmdir "$place"
}
trap finish EXIT
mount -t tmpfs tmpfs "$place" && mkdir "$root" "$place/upper" "$place/work" &&
    mount -t overlay -o "lowerdir=/,upperdir=$place/upper,workdir=$place/work" overlay "$root" 2>/dev/null || {
    echo "needs an overlay over /"
    exit 77
}
DESTDIR=$root meson install -C "$build" --no-rebuild --quiet >/dev/null || exit 1
cp "$build/tests/system/sharing/busy" "$root/usr/local/bin/"
ldconfig -r "$root"

# Runs in the new namespaces, and becomes systemd.
cat >"$place/boot" <<'END'
root=$1
mount --make-rprivate /
for folder in run tmp dev; do mount -t tmpfs tmpfs "$root/$folder"; done
for device in null zero full random urandom tty; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/sys/fs/cgroup"
mkdir "$root/sys/fs/cgroup/systemd" "$root/sys/fs/cgroup/unified"
mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd" || exit 1
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/unified"
exec env -i container=weft PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" /lib/systemd/systemd --system --unit=basic.target
END
unshare -m -p -f -u -i -C sh "$place/boot" "$root" >"$place/log" 2>&1 &
for _ in $(seq 100); do
    manager=$(pgrep -P $!)
    [ -n "$manager" ] && grep -q systemd "/proc/$manager/comm" && break
    sleep 0.1
done
inside() {
    nsenter -t "$manager" -m -p -u -i -C -r -w env -i HOME=/root PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}
for _ in $(seq 100); do
    inside systemctl is-active basic.target >/dev/null 2>&1 && break
    sleep 0.2
done
inside systemctl is-active basic.target >/dev/null 2>&1 || {
    echo "systemd does not boot in namespaces here: $(tail -n 1 "$place/log")"
    exit 77
}

failed() {
    echo "$*"
    inside systemctl status weftd.service weftd.socket --no-pager
    inside weft ps
    exit 1
}
expect() {
    found=$1
    shift
    [ "$found" = "$*" ] || failed "\"$found\" where \"$*\" was expected"
}
# Waits until the command says so.
await() {
    text=$1
    shift
    for _ in $(seq 300); do
        inside "$@" 2>/dev/null | grep -q "$text" && return
        sleep 0.1
    done
    failed "no \"$text\" in $*"
}
both_run() {
    await "alice.*" weft ps
    await "bob.*" weft ps
    expect "$(inside pgrep -c -x busy)" 2
}

inside systemctl enable --quiet --now weftd.socket || failed "the socket's unit does not start"
expect "$(inside systemctl is-active weftd.service)" inactive
inside weft ls >/dev/null || failed "nobody answers at the socket"
expect "$(inside systemctl is-active weftd.service)" active
expect "$(inside setpriv --reuid 65534 --clear-groups weft run --gpu soft=slow -- busy 1000 2 50)" "done"

for tenant in alice bob; do
    inside weft run --gpu soft=slow --tenant $tenant -- busy 2000 2 >"$place/$tenant" 2>&1 &
done
both_run
inside systemctl restart weftd.service || failed "no restart"
both_run
inside kill -9 "$(inside pidof weftd)"
await "^active" systemctl is-active weftd.service
both_run

mkdir -p "$root/etc/weft"
faulty='tenants:\n  carl:\n    gpu: soft=slow\n    wieght: 3\n'
# shellcheck disable=SC2059 # the text is the format
printf "$faulty" | inside sh -c 'mkdir -p /etc/weft; cat >/etc/weft/weft.yaml'
inside systemctl reload weftd.service 2>/dev/null && failed "a faulty configuration was taken"
both_run
inside sed -i s/wieght/weight/ /etc/weft/weft.yaml
inside systemctl reload weftd.service || failed "no reload"
await "^carl.*configuration" weft tenant list
both_run

inside systemctl stop --quiet weftd.service 2>/dev/null
expect "$(inside systemctl is-active weftd.service)" inactive
expect "$(inside pgrep -c -x busy)" 2
both_run # asking starts it again
expect "$(inside systemctl is-active weftd.service)" active
inside pkill -x busy
for _ in $(seq 100); do
    inside weft tenant list | grep -q -E "alice|bob" || break
    sleep 0.1
done
inside weft tenant list | grep -E "alice|bob" && failed "tenants are left"
echo "the service was started by its socket, restarted, killed, reloaded and stopped while two programs ran"
