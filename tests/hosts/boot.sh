# One short boot: the package is installed, and a server with a file account and a PAM user is what the
# kernel's command line lets it be. $EXPECT says what that is.
. ./lib.sh

clock_is_slow() {
    source=/sys/devices/system/clocksource/clocksource0
    echo "$(cat $source/available_clocksource), now $(cat $source/current_clocksource)"
    [ "$(cat $source/current_clocksource)" != tsc ] || grep -q 'vdso=0' /proc/cmdline
}

serves_both() {
    add_pam
    serve
    head -c 300000 /dev/urandom > /tmp/up
    upload alice /tmp/up uploaded
    upload paula /tmp/up uploaded
    wait_for $CURL --ssl-reqd --list-only --ftp-port 127.0.0.1 --user alice:wonderland ftp://localhost/
}

# Without Landlock nothing is served, in words that name the layer and the way out; `check` agrees.
refuses_without_landlock() {
    write_unit
    fails systemctl start bulkhead.service
    journalctl --sync
    journalctl --unit bulkhead --no-pager | grep 'not serving.*landlock'
    fails bulkhead check > /tmp/check
    grep 'error: sandbox layer landlock' /tmp/check
    fails bulkhead policy verify --offline > /tmp/verified
    printf '\n[sandbox]\nlandlock = "off"\n' >> /etc/bulkhead/bulkhead.toml
    systemctl reset-failed
}

refuses_i2ftp() {
    grep -qx 1 /proc/sys/crypto/fips_enabled
    printf '\n[i2ftp]\nenabled = true\nport = 2222\nkey_hex = "00112233445566778899aabbccddeeff"\n' \
        > /tmp/more
    cp /etc/bulkhead/bulkhead.toml /tmp/before
    cat /tmp/more >> /etc/bulkhead/bulkhead.toml
    fails bulkhead check > /tmp/check
    grep -i fips /tmp/check
    cp /tmp/before /etc/bulkhead/bulkhead.toml
}

check "the package is installed" install_package
check "the wizard sets it up" set_up
case $EXPECT in
slow-clock) check "the clock is slow" clock_is_slow ;;
no-landlock) check "nothing is served without Landlock" refuses_without_landlock ;;
fips) check "I2FTP is refused in FIPS mode" refuses_i2ftp ;;
esac
check "both accounts upload over TLS" serves_both
case $EXPECT in
no-landlock) ;;
*) check "policy verify" verified ;;
esac
check "no denial and no violation" denials
