# What the checks of a guest have in common. Each check prints one line, `ok NAME` or `not ok NAME`, and
# behind `#` what a failed one has seen.

# The account of the file, and the system user; both have the password "wonderland".
CURL="curl --silent --show-error --insecure --max-time 120"
TLS="$CURL --ssl-reqd"

check() { # NAME COMMAND…: the command succeeds
    name=$1
    shift
    # Not as a condition: `set -e` would be without effect in one.
    said=$( (set -eu; "$@") 2>&1)
    if [ $? -eq 0 ]; then
        echo "ok $name"
    else
        echo "not ok $name"
        printf '%s\n' "$said" | tail -n 25 | sed 's/^/# /'
    fi
}

skip() { # NAME REASON
    echo "ok $1 # skipped: $2"
}

wait_for() { # COMMAND…: the command succeeds within a minute or two, as slow as this machine is
    for _ in $(seq 120); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.5
    done
    echo "gave up waiting: $*"
    return 1
}

fails() { # COMMAND…: the command fails. (`! COMMAND` alone ends no script.)
    if "$@"; then
        echo "it went well, and should not have: $*"
        return 1
    fi
}

install_package() {
    dpkg --install /run/lab/bulkhead.deb
    bulkhead --version
}

# The wizard makes the configuration, a certificate and the account alice; paula is a system user.
set_up() {
    mkdir -p /srv/alice
    printf 'wonderland\n' | bulkhead setup --yes --overwrite --root /srv/alice --account alice \
        --owner 20001 --password-stdin --listen-address 127.0.0.1 --port 21 --tls generate \
        --names localhost --require control+data "$@"
    chown 20001:20001 /srv/alice
}

add_pam() {
    useradd --create-home --shell /bin/sh paula
    echo paula:wonderland | chpasswd
    sed -i 's/^backends = .*/backends = ["file", "pam"]/' /etc/bulkhead/bulkhead.toml
    grep -A1 '^\[auth\]' /etc/bulkhead/bulkhead.toml | grep pam
    cat > /etc/pam.d/bulkhead <<'PAM'
auth     required  pam_faillock.so preauth silent deny=3 unlock_time=600
auth     sufficient pam_unix.so nodelay
auth     [default=die] pam_faillock.so authfail deny=3 unlock_time=600
account  required  pam_faillock.so
account  required  pam_unix.so
session  required  pam_unix.so
PAM
}

write_unit() {
    mkdir -p /etc/systemd/system/bulkhead.service.d
    bulkhead unit > /etc/systemd/system/bulkhead.service.d/directories.conf
    systemctl daemon-reload
}

serve() {
    write_unit
    systemctl restart bulkhead.service || { journalctl --unit bulkhead --no-pager --lines 30; false; }
    [ "$(systemctl is-active bulkhead.service)" = active ]
}

# What the kernel and the server say of denials, until now.
denials() {
    journalctl --sync
    journalctl --boot --no-pager --output cat _TRANSPORT=kernel + _TRANSPORT=audit > /tmp/kernel
    grep -q . /tmp/kernel
    journalctl --boot --no-pager --unit bulkhead.service > /tmp/journal
    grep -q serving /tmp/journal
    { grep -E 'apparmor="(DENIED|ALLOWED)".*bulkhead' /tmp/kernel || :; } | sort -u > /tmp/seen
    grep -E 'event="?(violation|process-failed|login-impossible|not-serving)|SIGSYS|at system call' \
        /tmp/journal >> /tmp/seen || :
    if [ -s /tmp/seen ]; then cat /tmp/seen; false; fi
}

upload() { # USER FILE NAME: up over TLS and down again
    $TLS --user "$1:wonderland" --upload-file "$2" "ftp://localhost/$3"
    $TLS --user "$1:wonderland" --output /tmp/down "ftp://localhost/$3"
    cmp "$2" /tmp/down
}

verified() {
    bulkhead policy verify > /tmp/verified || { grep -A3 FAILED /tmp/verified; false; }
    grep -q ' 0 failed' /tmp/verified
}
