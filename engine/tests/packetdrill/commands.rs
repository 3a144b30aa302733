//! Shell commands: `sysctl` as options of the engine, and a few others that concern TCP.
//!
//! If a value asks for a feature that the engine does not have, the script is skipped from there, because its result
//! would say nothing about the engine.

use std::time::Duration;

use super::settings::Host;

/// The effect of a command on the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The command was executed, or there is nothing to do.
    Nothing,
    /// This many connections must be in the state with this name.
    Count { state: String, number: usize, in_process: bool },
    /// Drops the connections in the state with this name.
    Drop { state: String },
    /// The script tests a feature that the engine does not have.
    Unsupported(String),
}

/// Runs `command`, which may consist of several commands.
pub(crate) fn run(command: &str, host: &mut Host) -> Vec<Effect> {
    let command = command.replace("\\\n", " ");
    let mut effects = Vec::new();
    for part in command.split(['\n', ';']).flat_map(|line| line.split("&&")).map(str::trim) {
        if !part.is_empty() && !part.starts_with('#') {
            effects.extend(run_one(part, host));
        }
    }
    effects
}

fn run_one(command: &str, host: &mut Host) -> Vec<Effect> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let program = words[0].rsplit('/').next().unwrap_or_default();
    match program {
        "sysctl" => words[1..]
            .iter()
            .filter(|word| !word.starts_with('-'))
            .map(|assignment| match assignment.trim_matches(['"', '\'']).split_once('=') {
                Some((name, value)) => sysctl(name, value, host),
                None => Effect::Nothing,
            })
            .collect(),
        "sockstat" => vec![sockstat(&words)],
        "tcpdrop" => match words.iter().position(|word| *word == "-s").and_then(|at| words.get(at + 1)) {
            Some(state) => vec![Effect::Drop { state: (*state).to_owned() }],
            None => vec![Effect::Unsupported(format!("the command `{command}`"))],
        },
        // The hosts' caches of metrics are empty at the start of each script.
        "true" | "sleep" | "ip" | "defaults.sh" => vec![Effect::Nothing],
        _ => vec![Effect::Unsupported(format!("the command `{command}`"))],
    }
}

/// `sockstat -4 -P tcp -s | grep packetdril | grep -c TIME_WAIT | grep 1`
fn sockstat(words: &[&str]) -> Effect {
    let count = words.iter().position(|word| *word == "-c").and_then(|at| words.get(at + 1));
    let number = words.last().and_then(|number| number.parse().ok());
    match (count, number) {
        (Some(state), Some(number)) => Effect::Count {
            state: (*state).to_owned(),
            number,
            in_process: words.iter().any(|word| word.starts_with("packetdril")),
        },
        _ => Effect::Unsupported(format!("the command `{}`", words.join(" "))),
    }
}

/// Sets `name` to `value`.
fn sysctl(name: &str, value: &str, host: &mut Host) -> Effect {
    let number = value.split_whitespace().last().and_then(|value| value.parse::<u64>().ok());
    let Some(number) = number else { return sysctl_word(name, value, host) };
    let is_set = number != 0;
    let millis = Duration::from_millis(number);
    let size = usize::try_from(number).unwrap_or(usize::MAX);
    let wanted = |holds: bool| if holds { Effect::Nothing } else { unsupported(name, value) };
    let (namespace, key) = split(name);
    match (namespace, key) {
        ("kern.ipc", "maxsockbuf") => {
            host.receive_limit = size;
            host.send_limit = size;
        }
        ("net.inet.tcp", "rfc1323") | ("net.ipv4", "tcp_timestamps") => {
            host.timestamps = is_set;
            if namespace == "net.inet.tcp" {
                host.window_scale = is_set;
            }
        }
        ("net.ipv4", "tcp_window_scaling") => host.window_scale = is_set,
        ("net.inet.tcp", "sack.enable") | ("net.ipv4", "tcp_sack") => host.sack = is_set,
        ("net.inet.tcp", "ecn.enable") | ("net.ipv4", "tcp_ecn") => {
            host.ecn = u8::try_from(number).unwrap_or(u8::MAX);
            return wanted(number <= 2);
        }
        ("net.inet.tcp", "recvspace") => host.socket.receive_buffer = size,
        ("net.inet.tcp", "sendspace") => host.socket.send_buffer = size,
        ("net.inet.tcp", "recvbuf_auto" | "sendbuf_auto") | ("net.ipv4", "tcp_moderate_rcvbuf") => {
            return wanted(!is_set);
        }
        ("net.inet.tcp", "recvbuf_max") | ("net.ipv4", "tcp_rmem") | ("net.core", "rmem_max") => {
            host.receive_limit = size;
        }
        ("net.inet.tcp", "sendbuf_max") | ("net.ipv4", "tcp_wmem") | ("net.core", "wmem_max") => host.send_limit = size,
        ("net.inet.tcp", "delacktime") => return wanted(number == 40),
        ("net.inet.tcp", "delayed_ack") => return wanted(is_set),
        ("net.inet.tcp", "keepidle") => host.socket.keep_idle = millis,
        ("net.inet.tcp", "keepintvl") => host.socket.keep_interval = millis,
        ("net.inet.tcp", "keepinit") => host.socket.connect_timeout = millis,
        ("net.inet.tcp", "keepcnt") | ("net.ipv4", "tcp_keepalive_probes") => {
            host.socket.keep_count = u32::try_from(number).unwrap_or(u32::MAX);
        }
        ("net.inet.tcp", "always_keepalive") => host.socket.keep_alive = is_set,
        ("net.ipv4", "tcp_keepalive_time") => host.socket.keep_idle = Duration::from_secs(number),
        ("net.ipv4", "tcp_keepalive_intvl") => host.socket.keep_interval = Duration::from_secs(number),
        ("net.inet.tcp", "rexmit_initial") => return wanted(number == 1000),
        ("net.inet.tcp", "rexmit_min") => return wanted(number == 200),
        ("net.inet.tcp", "msl") => host.time_wait = 2 * millis,
        ("net.inet.tcp", "syncache.bucketlimit" | "syncache.cachelimit") | ("net.ipv4", "tcp_max_syn_backlog") => {
            host.half_open = size;
        }
        ("net.ipv4", "tcp_syncookies") => {
            // As on Linux, 2 uses cookies for every handshake.
            host.half_open = if number == 2 { 0 } else { host.half_open };
            return wanted(is_set);
        }
        _ => return fixed(namespace, key, number, wanted),
    }
    Effect::Nothing
}

/// Variables that the engine has no option for. Some values match its behaviour.
fn fixed(namespace: &str, key: &str, number: u64, wanted: impl Fn(bool) -> Effect) -> Effect {
    match (namespace, key) {
        // Nothing to do: the caches are empty, and the slop of FreeBSD's timers is a tolerance.
        ("net.inet.tcp", "hostcache.purgenow" | "hostcache.purge" | "hostcache.enable" | "rexmit_slop" | "persmin") => {
            Effect::Nothing
        }
        ("net.ipv4", "tcp_no_metrics_save" | "route.flush") => Effect::Nothing,
        // The behaviour that the RFCs require, which the engine has.
        ("net.inet.tcp", "insecure_rst" | "insecure_syn" | "insecure_ack" | "blackhole" | "rexmit_drop_options")
        | ("net.inet.tcp", "udp_tunneling_port" | "udp_tunneling_overhead" | "fastopen.server_enable")
        | (
            "net.inet.tcp",
            "fast_finwait2_recycle" | "nolocaltimewait" | "log_in_vain" | "path_mtu_discovery_blackhole",
        )
        | ("net.ipv4", "tcp_rfc1337" | "tcp_fastopen" | "tcp_abort_on_overflow" | "tcp_thin_linear_timeouts") => {
            wanted(number == 0)
        }
        // A retransmitted SYN does not ask for ECN (RFC 3168 section 6.1.1.1).
        ("net.inet.tcp", "ecn.maxretries") => wanted(number == 0),
        // A SYN with FIN is a SYN like any other (RFC 9293 section 3.10.7.2 considers FIN only in its eighth step).
        ("net.inet.tcp", "drop_synfin") => wanted(number == 0),
        ("net.inet.tcp", "rfc3390" | "rfc3042" | "rfc3465" | "rfc6675_pipe" | "path_mtu_discovery" | "syncookies")
        | ("net.inet.tcp", "newreno_sack" | "do_prr" | "tolerate_missing_ts" | "icmp_may_rst" | "ts_offset_per_conn")
        | ("net.ipv4", "tcp_dsack" | "tcp_frto" | "tcp_slow_start_after_idle" | "tcp_early_retrans" | "tcp_recovery") => {
            wanted(number != 0)
        }
        ("net.inet.tcp", "initcwnd_segments") => wanted(number == 10),
        _ => wanted(false),
    }
}

fn sysctl_word(name: &str, value: &str, host: &mut Host) -> Effect {
    match (split(name), value) {
        ((_, "cc.algorithm" | "tcp_congestion_control"), "cubic") => Effect::Nothing,
        ((_, "cc.algorithm" | "tcp_congestion_control"), _) => {
            host.socket.congestion = value.to_owned();
            unsupported(name, value)
        }
        ((_, "functions_default"), "freebsd") => Effect::Nothing,
        _ => unsupported(name, value),
    }
}

/// Splits a name into its namespace and the rest.
fn split(name: &str) -> (&str, &str) {
    ["net.inet.tcp", "net.ipv4", "net.core", "kern.ipc"]
        .into_iter()
        .find_map(|namespace| Some((namespace, name.strip_prefix(namespace)?.strip_prefix('.')?)))
        .unwrap_or(("", name))
}

fn unsupported(name: &str, value: &str) -> Effect {
    Effect::Unsupported(format!("{name}={value} asks for what the engine has no option for"))
}
