#!/bin/sh
# Installs the package in a booted Debian (a container of systemd-nspawn without a network), follows
# the README there, and upgrades, removes and purges it. As root: make nspawn
# ROOT is a tree of debootstrap, which is made if it is missing, and stays; DEB is the package.
set -eu

ROOT=${ROOT:-/var/tmp/ftpd-nspawn}
DEB=${DEB:-$(ls -t target/debian/ftpd-ini_*.deb | head -n 1)}
MIRROR=${MIRROR:-http://deb.debian.org/debian}
here=$(dirname "$0")

if ! [ -e "$ROOT/usr/bin/apt" ]; then
    debootstrap --variant=minbase \
        --include=systemd,systemd-sysv,dbus,adduser,curl,procps,openssl \
        bookworm "$ROOT" "$MIRROR"
fi

work=$(mktemp -d -p "$(dirname "$ROOT")")
trap 'rm -rf "$work"' EXIT
cp -a "$ROOT/." "$work/"
mkdir "$work/test"
cp "$DEB" "$work/test/ftpd-ini.deb"
cp "$here/inside.sh" "$work/test/inside.sh"
# the same as a newer version
dpkg-deb -R "$DEB" "$work/test/newer"
sed -i 's/^Version: .*/&+newer/' "$work/test/newer/DEBIAN/control"
dpkg-deb -b "$work/test/newer" "$work/test/newer.deb" >/dev/null
cat >"$work/etc/systemd/system/test.service" <<END
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c '/bin/sh /test/inside.sh >/test/log 2>&1; echo \$? >/test/status'
ExecStopPost=/bin/systemctl --no-block poweroff
StandardOutput=null
[Install]
WantedBy=default.target
END
ln -s ../test.service "$work/etc/systemd/system/multi-user.target.wants/test.service"

# its own filter must let the three pass that the unit lets pass
timeout 600 systemd-nspawn --quiet --register=no --keep-unit --private-network --boot \
    --system-call-filter='landlock_create_ruleset landlock_add_rule landlock_restrict_self' \
    --directory="$work" </dev/null >"$work/test/console" 2>&1 || tail -n 20 "$work/test/console"
cat "$work/test/log"
test "$(cat "$work/test/status")" = 0
