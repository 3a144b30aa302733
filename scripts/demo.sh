#!/usr/bin/env bash
# The demo: two apps on two stacks, joined by a link that delays and loses frames; apps behind a gateway, which reach the
# host's network and are reached from there, without privileges; then, with privileges, apps on a real link, with real
# programs at the other end. `just demo` builds everything first.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

guests=${XILA_GUESTS:-$(target_dir)/guests}
xila_net=${XILA_NET:-$(target_dir)/debug/xila-net}
for needed in "$xila_net" "$guests/http-server.wasm" "$guests/http-get.wasm"; do
    [ -e "$needed" ] || fail "$needed is not built: run \`just demo\`"
done

# The kernel's end of the real link, and the stack's.
kernel=10.89.0.1 stack=10.89.0.2
namespace=xila-demo-$$
work=$(mktemp -d)
made_namespace=no
# The words that run a command in the namespace; empty at first.
enter=()
# Processes of this script that may still run.
started=()
# The reasons why the last part cannot be shown.
obstacles=()

clean_up() {
    local pid
    for pid in ${started[@]+"${started[@]}"}; do
        kill "$pid" 2>/dev/null || as_root kill "$pid" 2>/dev/null || continue
        wait "$pid" 2>/dev/null || true
    done
    if [ $made_namespace = yes ]; then as_root ip netns delete "$namespace"; fi
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

headline() { printf '\n== %s\n' "$*"; }

# Prints the call of the command line: one option per line, with names of programs in place of their paths.
show_call() {
    local word line='$ xila-net run'
    for word in "$@"; do
        word=${word//"$guests/"/}
        word=${word//"$work"/FOLDER}
        case $word in *[[:space:]]*) word="'$word'" ;; esac
        case $word in --interface | --net* | --publish | --app | --dir | *.wasm) line+=$' \\\n   ' ;; esac
        line+=" $word"
    done
    printf '%s\n' "$line"
}

# Waits until a command succeeds; fails after ten seconds, or when the process whose readiness the command tests has
# ended.
wait_for() {
    local pid=$1 what=$2 tries=0
    shift 2
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        if ! kill -0 "$pid" 2>/dev/null && ! as_root kill -0 "$pid" 2>/dev/null; then
            say "$what has ended"
            return 1
        elif [ $tries -ge 100 ]; then
            say "$what is not ready after ten seconds"
            return 1
        fi
        sleep 0.1
    done
}

checksum() { sha256sum "$1" | cut -d ' ' -f 1; }

compare() {
    local sent received
    sent=$(checksum "$1") received=$(checksum "$2")
    printf 'sent      sha256 %s\nreceived  sha256 %s\n' "$sent" "$received"
    [ "$sent" = "$received" ] || fail "what arrived is not what was sent"
    printf 'The %s arrived whole: %s bytes.\n' "$3" "$(wc -c <"$2" | tr -d ' ')"
}

two_stacks() {
    headline "Two apps on two stacks, between them a hub with 5 ms latency and 1 % loss"
    local arguments=(
        --interface "server=hub,hub=net,addr=10.0.0.1/24,latency=5ms,loss=1%,seed=7"
        --interface "client=hub,hub=net,addr=10.0.0.2/24"
        --app "@server $guests/http-server.wasm 10.0.0.1:80 --requests 1 /pages/page.bin"
        --app "@client $guests/http-get.wasm http://10.0.0.1/ -o /fetched/page.bin --wait 10"
        --dir "$work::/" --fail-fast --statistics
    )
    show_call "${arguments[@]}"
    "$xila_net" run "${arguments[@]}"
    compare "$work/pages/page.bin" "$work/fetched/page.bin" page
}

# A port of this host that nothing listens at.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

fetch_through_gateway() {
    headline "An app fetches a file from python3's http.server on this host, through a gateway, without privileges"
    local port
    port=$(free_port)
    python3 -m http.server "$port" --bind 127.0.0.1 --directory "$work/pages" >"$work/python.log" 2>&1 &
    local server=$!
    started=("$server")
    local look=(curl --silent --noproxy '*' --max-time 2 --output /dev/null "http://127.0.0.1:$port/")
    wait_for $server "python3's http.server" "${look[@]}" || {
        cat "$work/python.log"
        exit 1
    }
    local arguments=(
        "--net=allow-host=$port" --dir "$work/fetched::/" --statistics
        "$guests/http-get.wasm" "http://host.internal:$port/file.bin" -o /gateway.bin
    )
    show_call "${arguments[@]}"
    "$xila_net" run "${arguments[@]}"
    compare "$work/pages/file.bin" "$work/fetched/gateway.bin" file
    if [ -e "$guests/javascript_fetch.wasm" ]; then
        headline "An app in JavaScript calls fetch"
        arguments=("--net=allow-host=$port" "$guests/javascript_fetch.wasm" "http://host.internal:$port/hello.txt")
        show_call "${arguments[@]}"
        "$xila_net" run "${arguments[@]}" | tee "$work/hello"
        cmp -s "$work/hello" "$work/pages/hello.txt" || fail "what was fetched is not what was served"
    else
        headline "SKIPPED: an app in JavaScript, because there is no npm to build it with"
    fi
    kill $server
    wait $server || true
    started=()
}

publish_through_gateway() {
    local port=8080
    if curl --silent --noproxy '*' --max-time 2 --output /dev/null "http://localhost:$port/"; then port=$(free_port); fi
    headline "curl fetches the file from an app, at a port of this host that leads to it"
    local arguments=(
        --net --publish "$port:80" --dir "$work/pages::/" --statistics
        "$guests/http-server.wasm" 0.0.0.0:80 --requests 1 /file.bin
    )
    show_call "${arguments[@]}" '&'
    "$xila_net" run "${arguments[@]}" >"$work/server.log" 2>&1 &
    local server=$! status=0
    started=("$server")
    wait_for $server http-server.wasm grep -q 'listening on' "$work/server.log" && {
        printf '$ curl http://localhost:%s/ --output FOLDER/fetched/published.bin\n' "$port"
        curl --silent --show-error --noproxy '*' --max-time 30 "http://localhost:$port/" --output "$work/fetched/published.bin"
    } && {
        wait $server && started=()
    } || status=$?
    cat "$work/server.log"
    [ $status = 0 ] || fail "the file could not be fetched"
    compare "$work/pages/file.bin" "$work/fetched/published.bin" file
}

# Checks whether the last part can be shown; makes the namespace, and collects the obstacles.
can_use_tap() {
    local command problem
    [ "$(uname)" = Linux ] || obstacles+=("TAP interfaces and network namespaces exist on Linux only")
    [ -c /dev/net/tun ] || obstacles+=("/dev/net/tun is missing (the kernel module tun)")
    for command in ip nsenter python3 curl; do
        has $command || obstacles+=("the program $command is missing")
    done
    if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
        obstacles+=("it takes root, or sudo that asks for no password")
    fi
    if [ ${#obstacles[@]} = 0 ]; then
        if problem=$(as_root ip netns add "$namespace" 2>&1); then
            made_namespace=yes
        else
            obstacles+=("no network namespace can be made here: $problem")
        fi
    fi
    [ ${#obstacles[@]} = 0 ]
}

make_link() {
    as_root ip -n "$namespace" link set lo up
    as_root ip -n "$namespace" tuntap add dev tap0 mode tap
    as_root ip -n "$namespace" address add $kernel/24 dev tap0
    as_root ip -n "$namespace" link set tap0 up
    # This is not a function, so that the PID of a background process is that of the command itself.
    enter=(nsenter "--net=/run/netns/$namespace")
    if [ "$(id -u)" != 0 ]; then enter=(sudo -n "${enter[@]}"); fi
}

fetch_over_tap() {
    headline "An app fetches a file from python3's http.server, over a TAP interface"
    "${enter[@]}" python3 -m http.server 8000 --bind $kernel --directory "$work/pages" >"$work/python.log" 2>&1 &
    local server=$!
    started=("$server")
    local look=(curl --silent --max-time 2 --output /dev/null "http://$kernel:8000/")
    wait_for $server "python3's http.server" "${enter[@]}" "${look[@]}" || {
        cat "$work/python.log"
        exit 1
    }
    local arguments=(
        --interface "eth0=tap,device=tap0,addr=$stack/24" --dir "$work/fetched::/" --statistics
        "$guests/http-get.wasm" "http://$kernel:8000/file.bin" -o /file.bin --wait 10
    )
    show_call "${arguments[@]}"
    "${enter[@]}" "$xila_net" run "${arguments[@]}"
    compare "$work/pages/file.bin" "$work/fetched/file.bin" file
    as_root kill $server
    wait $server || true
    started=()
}

serve_over_tap() {
    headline "curl fetches the file from an app, over the TAP interface"
    local arguments=(
        --interface "eth0=tap,device=tap0,addr=$stack/24" --dir "$work/pages::/" --statistics
        "$guests/http-server.wasm" "$stack:80" --requests 1 /file.bin
    )
    show_call "${arguments[@]}" '&'
    "${enter[@]}" "$xila_net" run "${arguments[@]}" >"$work/server.log" 2>&1 &
    local server=$! status=0
    started=("$server")
    wait_for $server http-server.wasm grep -q 'listening on' "$work/server.log" && {
        printf '$ curl http://%s/ --output FOLDER/fetched/again.bin\n' $stack
        "${enter[@]}" curl --silent --show-error --max-time 30 "http://$stack/" --output "$work/fetched/again.bin"
    } && {
        wait $server && started=()
    } || status=$?
    cat "$work/server.log"
    [ $status = 0 ] || fail "the file could not be fetched"
    compare "$work/pages/file.bin" "$work/fetched/again.bin" file
}

mkdir "$work/pages" "$work/fetched"
head -c 300000 /dev/urandom >"$work/pages/page.bin"
head -c 8388608 /dev/urandom >"$work/pages/file.bin"

printf 'Hello from this host.\n' >"$work/pages/hello.txt"

two_stacks
if has python3 && has curl; then
    fetch_through_gateway
    publish_through_gateway
else
    headline "SKIPPED: apps behind a gateway, because python3 or curl is missing"
fi
if can_use_tap; then
    make_link
    fetch_over_tap
    serve_over_tap
else
    headline "SKIPPED: apps on a real link, with python3's http.server and curl at the other end, because"
    printf -- '- %s\n' "${obstacles[@]}"
fi
