#!/bin/sh
# Makes the account under which the corpus is run as an ordinary user. To be run as root; does nothing the second time.
set -eu
account=lazaret-test
if ! getent passwd "$account" >/dev/null; then
    useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$account"
fi
