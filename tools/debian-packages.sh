#!/bin/sh
# Install Debian packages that the tests use, where that is allowed: debian-packages.sh NAME...
# Without the right to install, says what is missing; the tests that need it are then left out, and say so too.
missing=
for name in "$@"; do
    dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing="$missing $name"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    # Only the programs are wanted: no service of a package (wsdd announces this machine) is started, now or later.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy
        trap 'rm -f $policy' EXIT
    fi
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null && {
        case "$missing" in *" wsdd"*) systemctl disable -q wsdd 2>/dev/null ;; esac
        exit 0
    }
    [ -n "$CI" ] && { echo "Debian packages could not be installed:$missing"; exit 1; }
fi
echo "Not installed:$missing. The tests that need them are left out. To have them: sudo apt-get install$missing"
