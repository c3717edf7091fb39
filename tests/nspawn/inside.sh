# What is done in the booted system; each step says its name, and the first that fails ends it.
set -eu
export DEBIAN_FRONTEND=noninteractive PAGER=cat

trap 'test $? = 0 || { journalctl -u ftpd -n 60 --no-pager; systemctl status ftpd --no-pager; }' EXIT
step() { printf '\n== %s\n' "$*"; }
fails() { if "$@"; then echo "it should have failed: $*"; exit 1; fi; }
user() { printf '%s\n' "$1" >/test/password; shift; ftpd "$@" </test/password; }
put() { curl -sS -u "$1" -T /test/photo.jpg "ftp://127.0.0.1$2"; }
owner() { stat -c %U:%G "$1"; }
main() { systemctl show -P MainPID ftpd; }
log() { journalctl -u ftpd --no-pager -o cat | grep -F -- "$1"; }
head -c 100000 /dev/urandom >/test/photo.jpg

step 'install: nobody is served yet'
apt-get install -y /test/ftpd-ini.deb
fails systemctl is-active ftpd
test "$(stat -c %U:%G:%a /etc/ftpd.ini)" = root:ftpd:640

step 'the first user, as the README has it'
user secret adduser camera --home /srv/ftp/camera --create-home --perm elmw --config /etc/ftpd.ini
test "$(owner /srv/ftp/camera)" = ftpd:ftpd
systemctl enable --now ftpd
put camera:secret /
cmp /test/photo.jpg /srv/ftp/camera/photo.jpg
curl -sS -k --ssl-reqd -u camera:secret -T /test/photo.jpg ftp://127.0.0.1/tls.jpg
log 'sandbox: enforced'
fails log 'WARN'
ftpd who --config /etc/ftpd.ini

step 'the sandbox may be required'
sed -i 's/^;sandbox = auto/sandbox = require/' /etc/ftpd.ini
systemctl restart ftpd
put camera:secret /

step 'a home elsewhere: the line that it takes is said, and is enough'
user secret adduser anna --home /srv/anna --create-home --perm elradfmw --config /etc/ftpd.ini \
    2>/test/said
cat /test/said
grep -F '[Service] ReadWritePaths=/srv/anna' /test/said
ftpd check 2>&1 | grep -F '[user:anna] home /srv/anna'
mkdir -p /etc/systemd/system/ftpd.service.d
printf '[Service]\nReadWritePaths=/srv/anna\n' >/etc/systemd/system/ftpd.service.d/homes.conf
systemctl daemon-reload
systemctl restart ftpd
put anna:secret /
test "$(owner /srv/anna/photo.jpg)" = ftpd:ftpd
ftpd check 2>&1 | { ! grep warning; }

step 'a home below /home takes BindPaths'
useradd --create-home ben
install -d -o ftpd -g ftpd /home/ben/ftp
user secret adduser ben --home /home/ben/ftp --perm elradfmw 2>/test/said
grep -F '[Service] BindPaths=/home/ben/ftp' /test/said
printf 'BindPaths=/home/ben/ftp\n' >>/etc/systemd/system/ftpd.service.d/homes.conf
systemctl daemon-reload
systemctl restart ftpd
put ben:secret /
cmp /test/photo.jpg /home/ben/ftp/photo.jpg

step 'reload: a new password holds, and a fault changes nothing'
user other passwd camera --write --config /etc/ftpd.ini
systemctl reload ftpd
put camera:other /
echo 'nonsense = 1' >>/etc/ftpd.ini
fails systemctl reload ftpd
sed -i '$d' /etc/ftpd.ini
put camera:other /

step 'a disk that is late stops nobody'
mkdir /srv/ftp/disk
printf '\n[user:late]\npassword = secret\nperm = elw\nhome = /srv/ftp/disk/usb/late\n' >>/etc/ftpd.ini
fails ftpd check
systemctl reload ftpd
log 'logins are refused until it exists'
systemctl restart ftpd
put camera:other /
fails put late:secret /
mkdir /srv/ftp/disk/usb
mount -t tmpfs tmpfs /srv/ftp/disk/usb
install -d -o ftpd -g ftpd /srv/ftp/disk/usb/late
put late:secret /
cmp /test/photo.jpg /srv/ftp/disk/usb/late/photo.jpg
umount /srv/ftp/disk/usb

step 'why is answered by the server, and without it for the user of the unit'
ftpd why camera /photo.jpg write
chmod 500 /srv/ftp/camera
chown root /srv/ftp/camera
fails ftpd why camera /new write
systemctl stop ftpd
fails ftpd why camera /new write 2>/test/said
fails grep root /test/said
chown ftpd /srv/ftp/camera
chmod 755 /srv/ftp/camera

step 'a certificate that root makes is the server'"'"'s'
rm -rf /var/lib/ftpd/tls
ftpd cert --config /etc/ftpd.ini
test "$(owner /var/lib/ftpd/tls/key.pem)" = ftpd:ftpd
systemctl start ftpd
curl -sS -k --ssl-reqd -u camera:other ftp://127.0.0.1/ >/dev/null

step 'users who may not are told so'
runuser -u ben -- ftpd who --config /etc/ftpd.ini 2>&1 | grep -F 'permission denied; try sudo'

step 'upgrade: the newer one serves'
before=$(main)
apt-get install -y /test/newer.deb
systemctl is-active ftpd
test "$(main)" != "$before"
put camera:other /

step 'remove: settings, files and the user stay'
apt-get remove -y ftpd-ini
fails systemctl is-active ftpd
test -e /etc/ftpd.ini && test -e /srv/ftp/camera/photo.jpg && id ftpd

step 'and again: what was good before is served at once'
apt-get install -y /test/ftpd-ini.deb
put camera:other /

step 'purge: settings and logs go, files of users stay'
apt-get purge -y ftpd-ini
fails test -e /etc/ftpd.ini
fails test -e /var/log/ftpd
test -e /srv/ftp/camera/photo.jpg && id ftpd
echo; echo 'all done'
