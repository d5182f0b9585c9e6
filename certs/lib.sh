# Shared by every verb in certs/: messages, files that appear whole or not at all, and the one way
# in which the organisation's CA signs. Sourced, never run. It never reads the network, and no key
# or passphrase is ever an argument or an environment variable of a program.
# shellcheck shell=bash
# shellcheck disable=SC2034  # the verbs use what is named here

set -euo pipefail
umask 077
export LC_ALL=C

# The passphrase of the CA key: its value, and the file that it may come from.
passphrase='' passphrase_file=''

readonly day_seconds=86400
# A node whose clock is a little slow, or whose RTC runs in local time, must not find a fresh
# certificate "not yet valid": what we issue begins a day ago, though never before its CA did.
readonly backdate_seconds=$day_seconds
readonly gateway_days_limit=90
readonly signer_days_limit=366
readonly ca_days_limit=10950
readonly wireguard_uri=urn:fortros:wireguard:
# agent/core/attestation.h: signer_usage_oid
readonly signer_usage=2.25.229215062394218720325445078132029495471.1

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

# For a wrong command line.
die_usage() {
    say "error: $* (see certs/${0##*/} --help)"
    exit 2
}

# Prints the comment block at the top of the running script, without the interpreter line.
usage() {
    sed -n '2,/^[^#]/{/^#/!d; s/^# \{0,1\}//; p}' "$0"
    exit 0
}

require_openssl() {
    command -v openssl >/dev/null || die "openssl is missing: apt-get install openssl"
    case $(openssl version) in
        'OpenSSL '[3-9].* | 'OpenSSL '[1-9][0-9].*) ;;
        *) die "OpenSSL 3 or newer is needed, this is $(openssl version)" ;;
    esac
}

# require_days DAYS LIMIT
require_days() {
    [[ $1 =~ ^[1-9][0-9]{0,4}$ ]] || die_usage "--days must be a whole number of days, not '$1'"
    [ "$1" -le "$2" ] || die_usage "--days may be at most $2, not $1"
}

# parse_issue_arguments ARG...: what the verbs that issue take. Sets $org, $dir, $days,
# $passphrase_file; the caller has set the defaults.
parse_issue_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
            --help | -h) usage ;;
            --days | --passphrase-file)
                [ $# -ge 2 ] || die_usage "$1 needs a value"
                if [ "$1" = --days ]; then days=$2; else passphrase_file=$2; fi
                shift
                ;;
            -*) die_usage "unknown option $1" ;;
            *)
                [ -z "$dir" ] || die_usage "too many arguments: $1"
                if [ -z "$org" ]; then org=${1%/}; else dir=${1%/}; fi
                ;;
        esac
        shift
    done
}

# --- Files ----------------------------------------------------------------------------------------

# make_scratch DIR: sets $scratch to a private folder inside DIR, on the same file system as the
# files that will be moved out of it, and removes it at the end.
make_scratch() {
    scratch=$(mktemp -d "$1/.fortros.XXXXXX") || die "can't write to $1"
    trap 'rm -rf "$scratch"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

# place_new FILE DESTINATION [MODE]: moves a finished file to where there must be none yet.
place_new() {
    chmod "${3:-0600}" "$1"
    sync "$1"
    mv -n -T "$1" "$2"
    [ ! -e "$1" ] || die "$2 is already there, and is left as it is"
    sync "$(dirname "$2")"
}

# place_public FILE DESTINATION: moves a finished file into the place of the one there is.
place_public() {
    chmod 0644 "$1"
    sync "$1"
    mv -f -T "$1" "$2"
    sync "$(dirname "$2")"
}

# --- The organisation -----------------------------------------------------------------------------

require_org() {
    local file
    [ -d "$1" ] || die "there is no folder $1"
    for file in org.conf ca.pem ca.key; do
        [ -r "$1/$file" ] || die "$1/$file can't be read: is $1 a folder that make-org made?"
    done
}

# org_value ORG KEY: a value of ORG/org.conf.
org_value() {
    local value
    value=$(sed -n "s/^$2=//p" "$1/org.conf")
    [ -n "$value" ] || die "$1/org.conf has no $2="
    printf '%s\n' "$value"
}

# A name in DNS: two or more labels, no wildcard, no address.
is_dns_name() {
    local label='[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?'
    [ ${#1} -le 253 ] && [[ $1 =~ ^($label\.)+$label$ ]] && ! [[ ${1##*.} =~ ^[0-9]+$ ]]
}

# read_passphrase CONFIRM: from $passphrase_file, or asked for once (twice with CONFIRM = confirm).
read_passphrase() {
    local again
    if [ -n "$passphrase_file" ]; then
        [ -r "$passphrase_file" ] || die "$passphrase_file can't be read"
        IFS= read -r passphrase <"$passphrase_file" || [ -n "$passphrase" ] ||
            die "no passphrase can be read from $passphrase_file"
    else
        [ -t 0 ] || die "the CA key has a passphrase: give --passphrase-file, or run on a terminal"
        IFS= read -r -s -p 'Passphrase of the CA key: ' passphrase && echo >&2
        if [ "$1" = confirm ]; then
            IFS= read -r -s -p 'The same again: ' again && echo >&2
            [ "$passphrase" = "$again" ] || die "the two differ"
        fi
    fi
    [ -n "$passphrase" ] || die "an empty passphrase protects nothing"
}

# unlock_ca ORG: asks for the passphrase when the CA key has one.
unlock_ca() {
    if grep -q ENCRYPTED "$1/ca.key"; then
        read_passphrase once
        with_ca_key pkey -in "$1/ca.key" -noout 2>/dev/null || die "that is not the passphrase of $1/ca.key"
    fi
}

# with_ca_key COMMAND ARG...: runs openssl with the passphrase, if there is one, on a descriptor.
with_ca_key() {
    if [ -n "$passphrase" ]; then
        openssl "$@" -passin fd:9 9< <(printf '%s\n' "$passphrase")
    else
        openssl "$@"
    fi
}

# --- Certificates ---------------------------------------------------------------------------------

# certificate_time FILE startdate|enddate: seconds since 1970.
certificate_time() {
    local text
    text=$(openssl x509 -in "$1" -noout "-$2") || die "$1 is no certificate"
    date -u -d "${text#*=}" +%s
}

day_of() { date -u -d "@$1" '+%Y-%m-%d %H:%M UTC'; }

# The public key of a certificate (x509) or of a request (req), to compare.
public_key_of() { openssl "$1" -in "$2" -noout -pubkey; }

# is_p256 x509|req FILE
is_p256() { public_key_of "$1" "$2" | openssl pkey -pubin -noout -text 2>/dev/null | grep -q 'NIST CURVE: P-256'; }

# Prints a P-256 private key.
print_new_key() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 2>/dev/null ||
        die "openssl could not make a key"
}

# new_request KEY CSR COMMON_NAME
new_request() {
    printf '[req]\ndistinguished_name=dn\n[dn]\n' >"$scratch/req.cnf"
    openssl req -new -config "$scratch/req.cnf" -key "$1" -subj "/CN=$3" -sha256 -out "$2" ||
        die "openssl could not make a certificate request"
}

# decide_dates ORG DAYS LIMIT: sets $not_before and $not_after. Never in the future, never more
# than LIMIT days apart, never outside the CA's own dates.
decide_dates() {
    local now ca_begin ca_end
    now=$(date +%s)
    ca_begin=$(certificate_time "$1/ca.pem" startdate)
    ca_end=$(certificate_time "$1/ca.pem" enddate)
    [ "$now" -ge "$ca_begin" ] ||
        die "the CA begins at $(day_of "$ca_begin"), but the clock here says $(day_of "$now"): set the clock"
    [ "$now" -lt "$ca_end" ] || die "the CA ended at $(day_of "$ca_end"): see certs/README.md about rotation"
    not_before=$((now - backdate_seconds))
    [ "$not_before" -ge "$ca_begin" ] || not_before=$ca_begin
    not_after=$((now + $2 * day_seconds))
    [ "$not_after" -le $((not_before + $3 * day_seconds)) ] || not_after=$((not_before + $3 * day_seconds))
    if [ "$not_after" -gt "$ca_end" ]; then
        not_after=$ca_end
        say "the CA ends sooner: this certificate ends with it"
    fi
}

# sign ORG CSR COMMON_NAME EXTENSIONS OUT: the CA signs the request's public key, and nothing else
# of the request, under the given extensions and $not_before, $not_after. A copy is kept in
# ORG/issued, so that it can be said what was ever signed.
sign() {
    local serial
    : >"$scratch/index"
    cat >"$scratch/ca.cnf" <<END
[ca]
default_ca = org
[org]
database = $scratch/index
new_certs_dir = $scratch
unique_subject = no
default_md = sha256
policy = policy
copy_extensions = none
rand_serial = yes
x509_extensions = profile
[policy]
commonName = supplied
[profile]
$4
END
    with_ca_key ca -batch -notext -config "$scratch/ca.cnf" -in "$2" -subj "/CN=$3" \
        -cert "$1/ca.pem" -keyfile "$1/ca.key" -out "$scratch/signed.pem" \
        -startdate "$(date -u -d "@$not_before" +%Y%m%d%H%M%SZ)" \
        -enddate "$(date -u -d "@$not_after" +%Y%m%d%H%M%SZ)" 2>"$scratch/ca.log" ||
        die "openssl did not sign: $(grep -v '^\(Using\|Check\|Signature ok\)' "$scratch/ca.log" | head -n 3)"
    openssl verify -no-CApath -no-CAstore -CAfile "$1/ca.pem" "$scratch/signed.pem" >/dev/null ||
        die "the certificate does not verify against $1/ca.pem: do ca.key and ca.pem belong together?"
    serial=$(openssl x509 -in "$scratch/signed.pem" -noout -serial)
    mkdir -p "$1/issued"
    cp "$scratch/signed.pem" "$scratch/record.pem"
    place_new "$scratch/record.pem" "$1/issued/${serial#serial=}.pem" 0644
    mv "$scratch/signed.pem" "$5"
}

# issue_signer ORG DIR DAYS: DIR/signer.key, if there is none yet, and DIR/signer.pem.
issue_signer() {
    if [ ! -e "$2/signer.key" ]; then
        print_new_key >"$scratch/signer.key"
        place_new "$scratch/signer.key" "$2/signer.key"
    fi
    new_request "$2/signer.key" "$scratch/signer.csr" 'attestation signer'
    decide_dates "$1" "$3" "$signer_days_limit"
    # No dNSName and this one usage: it can never stand in for a gateway.
    sign "$1" "$scratch/signer.csr" 'attestation signer' "basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = $signer_usage
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid" "$scratch/signer.pem"
    place_public "$scratch/signer.pem" "$2/signer.pem"
}
