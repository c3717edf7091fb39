#!/bin/sh
# 'make cluster': HAProxy with etc/haproxy.cfg in front of two servers, on addresses of this machine,
# until Ctrl-C. Both servers have the same home, as with a shared file system. $1 is the program.
set -eu
ftpd=$(realpath "$1")
cd "$(dirname "$0")/../.."
command -v haproxy >/dev/null || { echo 'haproxy is not installed' >&2; exit 1; }
dir=$(pwd)/target/cluster
mkdir -p "$dir/home"

pids=
finish() {
  trap - EXIT INT TERM
  # the servers first, so that the balancer passes on their last replies
  for pid in $pids; do kill "$pid" 2>/dev/null || true; done
  wait
}
trap finish EXIT
trap 'exit 0' INT TERM

for server in a:127.0.0.11:50000-50099 b:127.0.0.12:50100-50199; do
  name=${server%%:*} rest=${server#*:}
  ip=${rest%:*} ports=${rest#*:}
  mkdir -p "$dir/$name"
  cat >"$dir/$name/ftpd.ini" <<END
[server]
ip = $ip
port = 2121
welcome_msg = server $name
# the balancer connects from here
proxy_from = 127.0.0.1
proxy_data = on
passive_ports = $ports
masquerade_address = 127.0.0.10
metrics_listen = $ip:9121
shutdown_grace = 1m
shared_storage = on

[user:demo]
password = demo
perm = elradfmwMT
home = $dir/home
END
  chmod 600 "$dir/$name/ftpd.ini"
  "$ftpd" --config "$dir/$name/ftpd.ini" 2>"$dir/$name/log" &
  pids="$pids $!"
done

sed -e 's/192\.0\.2\./127.0.0./' -e 's/bind :21$/bind 127.0.0.10:2121/' \
  -e '/bind :::/d' -e 's/bind :\([0-9]\)/bind 127.0.0.10:\1/' -e 's/^\( *server . [0-9.]*\):21$/\1:2121/' \
  etc/haproxy.cfg >"$dir/haproxy.cfg"
haproxy -db -f "$dir/haproxy.cfg" 2>"$dir/haproxy.log" &
pids="$pids $!"

cat <<END
address:  ftp://127.0.0.10:2121   user: demo   password: demo   files: target/cluster/home
try:      curl -T README.md ftp://demo:demo@127.0.0.10:2121/ && curl ftp://demo:demo@127.0.0.10:2121/
drain:    $1 stop --drain --config target/cluster/a/ftpd.ini
health:   http://127.0.0.11:9121/health and http://127.0.0.12:9121/health
logs:     target/cluster/a/log, target/cluster/b/log, target/cluster/haproxy.log
stop:     Ctrl-C
END
wait
