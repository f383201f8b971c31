# A whole life of the package on a stock host, as an administrator lives it.
. ./lib.sh

file_is_uploaded() {
    head -c 3000000 /dev/urandom > /tmp/up
    upload alice /tmp/up uploaded
    [ "$(stat --format %u /srv/alice/uploaded)" = 20001 ]
}

pam_user_uploads() {
    upload paula /tmp/up uploaded
    [ "$(stat --format %U /home/paula/uploaded)" = paula ]
}

starts() {
    add_pam
    serve
    systemctl enable bulkhead.service
    journalctl --sync
    journalctl --unit bulkhead --no-pager > /tmp/journal
    fails grep 'may reach swap' /tmp/journal
}

# Sessions of both accounts that last until they are killed.
hold_sessions() {
    head -c 8000000 /dev/zero > /srv/alice/large
    cp /srv/alice/large /home/paula/large
    chown 20001:20001 /srv/alice/large
    chown paula: /home/paula/large
    for user in alice paula; do
        $TLS --limit-rate 20k --user "$user:wonderland" --output /dev/null ftp://localhost/large \
            > /dev/null 2>&1 &
    done
    wait_for sh -c '[ "$(bulkhead sessions | grep -c -e alice -e paula)" -ge 2 ]'
}

every_process_has_its_profile() {
    verified
    for role in gate session helper keeper; do
        grep "^ok *$role  *pid .*bulkhead//$role.*(enforce)" /tmp/verified
    done
    grep '^ok *supervisor  *pid .*AppArmor bulkhead (enforce)' /tmp/verified
    bulkhead policy evidence | grep '| supervisor | [0-9]* | bulkhead (enforce) |'
    # aa-status sees none of ours without, or in complain mode.
    [ "$(pgrep bulkhead | wc -l)" -gt 6 ]
    for pid in $(pgrep bulkhead); do
        grep enforce "/proc/$pid/attr/current"
    done
}

helper_has_no_variable() {
    helper=$(pgrep bulkhead-helper)
    [ -r "/proc/$helper/environ" ]
    [ -z "$(tr -d '\0' < "/proc/$helper/environ")" ]
}

# Killed, each role comes back, and logins go on.
roles_are_killed() {
    for title in bulkhead-helper bulkhead-keeper bulkhead-gate; do
        before=$(pgrep "$title" | head -n 1)
        kill -KILL "$before"
        wait_for sh -c "pgrep $title | grep -qvx $before"
    done
    wait_for $TLS --user alice:wonderland --output /tmp/down ftp://localhost/uploaded
}

# After three wrong passwords the right one is refused.
faillock_locks() {
    for _ in 1 2 3; do
        fails $TLS --user paula:wrong --list-only ftp://localhost/
    done
    fails $TLS --user paula:wonderland --list-only ftp://localhost/
    faillock --user paula --reset
    bulkhead penalties clear 2>/dev/null || systemctl restart bulkhead
    $TLS --user paula:wonderland --list-only ftp://localhost/
}

reloads() {
    bulkhead check
    systemctl reload bulkhead.service
}

# The profile is taken away under the running server: `verify` is red, and it is mended by what it says.
profile_is_unloaded() {
    apparmor_parser --remove /etc/apparmor.d/bulkhead
    fails bulkhead policy verify --live > /tmp/verified
    grep 'layer apparmor' /tmp/verified
    apparmor_parser --replace /etc/apparmor.d/bulkhead
    systemctl restart bulkhead.service
    verified
}

# Upgraded while a download and an upload run: both end as they should.
upgrade() {
    [ -e newer.deb ] || return 0
    head -c 4000000 /dev/urandom > /tmp/slow
    $TLS --limit-rate 400k --user alice:wonderland --output /tmp/got ftp://localhost/uploaded &
    download=$!
    $TLS --limit-rate 400k --user alice:wonderland --upload-file /tmp/slow ftp://localhost/slow &
    upload=$!
    wait_for test -s /srv/alice/slow
    dpkg --install newer.deb
    wait "$download"
    wait "$upload"
    cmp /tmp/got /srv/alice/uploaded
    cmp /tmp/slow /srv/alice/slow
    wait_for $TLS --user alice:wonderland --list-only ftp://localhost/
}

# Without /dev/shm the unit cannot have a /dev of its own; docs/install.md says what then.
no_dev_shm() {
    systemctl stop bulkhead.service
    umount /dev/shm
    rmdir /dev/shm
    if systemctl start bulkhead.service; then
        echo "it starts without"
    else
        systemctl status bulkhead.service --no-pager | grep 226/NAMESPACE
    fi
    for unit in bulkhead.service bulkhead-helper@.service; do
        mkdir -p /etc/systemd/system/$unit.d
        printf '[Service]\nPrivateDevices=no\n' > /etc/systemd/system/$unit.d/no-dev-shm.conf
    done
    systemctl daemon-reload
    systemctl reset-failed
    systemctl restart bulkhead.service
    $TLS --user alice:wonderland --list-only ftp://localhost/
    rm /etc/systemd/system/bulkhead*.d/no-dev-shm.conf
    mkdir --mode 1777 /dev/shm
    systemctl daemon-reload
    mount -t tmpfs tmpfs /dev/shm
    systemctl restart bulkhead.service
}

purge() {
    dpkg --remove bulkhead
    fails pgrep bulkhead
    fails grep bulkhead /sys/kernel/security/apparmor/profiles
    dpkg --purge bulkhead
    for user in bulkhead-gate bulkhead-helper bulkhead-keeper; do
        fails getent passwd "$user"
    done
    # The drop-ins are the administrator's own.
    rm -r /etc/systemd/system/bulkhead*.d
    left=$(find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /root -o -path /var/log/journal \
        -o -path /tmp \) -prune -o -name '*bulkhead*' -print)
    [ -z "$left" ] || { echo "$left"; false; }
    [ -s /srv/alice/uploaded ] && [ -s /home/paula/uploaded ]
}

check "the package is installed" install_package
check "h1 the profiles are loaded and enforce" sh -c '
    for profile in bulkhead bulkhead//gate bulkhead//session bulkhead-helper; do
        grep -x "$profile (enforce)" /sys/kernel/security/apparmor/profiles
    done'
check "the wizard sets it up" set_up
check "h1 h2 h4 h6 h7 the server starts with file and PAM accounts" starts
check "policy check" bulkhead policy check
check "a file account uploads over TLS" file_is_uploaded
check "h6 a PAM user logs in and uploads over TLS" pam_user_uploads
check "check beside the running server" reloads
check "sessions of both accounts are held" hold_sessions
check "policy verify, each process in its profile" every_process_has_its_profile
check "h5 the helper has no variable" helper_has_no_variable
check "no denial and no violation" denials
check "each role is killed and comes back" roles_are_killed
check "pam_faillock locks and unlocks" faillock_locks
check "no denial and no violation afterwards" denials
check "a profile that is unloaded under the server is told" profile_is_unloaded
check "upgrade during a download and an upload" upgrade
check "h9 without /dev/shm, as the document says" no_dev_shm
check "h8 remove and purge leave nothing" purge
