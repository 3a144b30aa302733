//! Shows and changes interfaces, addresses, routes and neighbours, with the commands and the output format of ip(8) of
//! iproute2. In addition it has commands for DNS servers, DHCP and IPv6 autoconfiguration. The exit statuses are those
//! of ip(8); WASI 0.2 turns each one that is not 0 into 1.
//!
//! `words` parses the command line, `show` prints, `change` changes, and `monitor` prints events.

mod change;
mod monitor;
mod show;
mod words;

use xila_network::Family;

use words::{Failure, Outcome, Words};

const USAGE: &str = "Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }
where  OBJECT := { address | route | neighbour | link | monitor | dns | dhcp | autoconf }
       OPTIONS := { -4 | -6 | -s[tatistics] | -br[ief] }

       ip address [ show [ dev NAME ] ]
       ip address { add | del } ADDRESS/PREFIX dev NAME
       ip link [ show [ dev NAME ] ]
       ip link set [ dev ] NAME [ up | down ] [ mtu MTU ] [ address MAC ]
       ip route [ show ]
       ip route { add | replace | del } { PREFIX | default } [ via ADDRESS ] [ dev NAME ] [ metric NUMBER ]
                [ expires SECONDS ]
       ip neighbour [ show ]
       ip monitor [ -c COUNT ]
       ip dns [ show | { add | del } ADDRESS dev NAME ]
       ip dhcp [ show | { on | off } dev NAME ]
       ip autoconf [ show | { on | off } dev NAME ]";

/// The options of the output.
#[derive(Clone, Copy, Default)]
struct Options {
    family: Option<Family>,
    statistics: bool,
    brief: bool,
}

xila_network::main!(run);

async fn run() {
    if let Err(Failure { text, status }) = execute(Words::of_the_command_line()).await {
        eprintln!("{text}");
        std::process::exit(status);
    }
}

async fn execute(mut words: Words) -> Outcome {
    let mut options = Options::default();
    let object = loop {
        let word = words.next().ok_or_else(|| Failure::new(255, USAGE))?;
        match word.strip_prefix('-') {
            None => break word,
            Some("4") => options.family = Some(Family::V4),
            Some("6") => options.family = Some(Family::V6),
            Some(option) => match option.trim_start_matches('-') {
                "" => return Err(Failure::new(255, USAGE)),
                option if "brief".starts_with(option) && option.len() > 1 => options.brief = true,
                option if "statistics".starts_with(option) || option == "stats" => options.statistics = true,
                option if "help".starts_with(option) => {
                    println!("{USAGE}");
                    return Ok(());
                }
                _ => return Err(Failure::new(255, format!("Option \"{word}\" is unknown, try \"ip -help\"."))),
            },
        }
    };
    // If a word is a prefix of several names, the first name is used, as in ip(8).
    const OBJECTS: [&str; 10] =
        ["address", "route", "neighbour", "neighbor", "link", "monitor", "dns", "dhcp", "autoconf", "help"];
    let object = OBJECTS
        .into_iter()
        .find(|name| name.starts_with(&object))
        .ok_or_else(|| Failure::new(1, format!("Object \"{object}\" is unknown, try \"ip help\".")))?;
    if words.is_help() {
        println!("{USAGE}");
        return Ok(());
    }
    match object {
        "address" => match words.command(object, &["show", "list", "add", "delete", "remove"])? {
            "add" => change::add_address(words),
            "delete" | "remove" => change::remove_address(words),
            _ => show::addresses(words, options),
        },
        "link" => match words.command(object, &["show", "list", "set"])? {
            "set" => change::set_link(words),
            _ => show::links(words, options),
        },
        "route" => match words.command(object, &["show", "list", "add", "replace", "delete"])? {
            "add" => change::add_route(words, false),
            "replace" => change::add_route(words, true),
            "delete" => change::remove_route(words, options),
            _ => show::routes(words, options),
        },
        "neighbour" | "neighbor" => {
            words.command(object, &["show", "list"])?;
            show::neighbours(words, options)
        }
        "monitor" => monitor::run(words).await,
        "dns" => match words.command(object, &["show", "list", "add", "delete", "remove"])? {
            "add" => change::add_dns_server(words),
            "delete" | "remove" => change::remove_dns_server(words),
            _ => show::dns_servers(words, options),
        },
        "dhcp" => match words.command(object, &["show", "list", "on", "off"])? {
            switch @ ("on" | "off") => change::set_dhcp(words, switch == "on"),
            _ => show::dhcp(words),
        },
        "autoconf" => match words.command(object, &["show", "list", "on", "off"])? {
            switch @ ("on" | "off") => change::set_autoconfiguration(words, switch == "on"),
            _ => show::autoconfiguration(words),
        },
        _ => {
            println!("{USAGE}");
            Ok(())
        }
    }
}
