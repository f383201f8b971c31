#!/bin/sh
# What a guest of `cargo xtask test --hosts` does once it is up: unpacks the second disk, which is a
# tape archive, runs the script `run` of it, tells what that prints on its second serial line, and ends.
mkdir -p /run/lab
tar -xf /dev/vdb -C /run/lab
cd /run/lab || exit 1
{
    echo "lab: started"
    sh ./run
    echo "lab: done"
} > /dev/ttyS1 2>&1 < /dev/null
sync
systemctl poweroff --force --force
