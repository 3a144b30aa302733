//! The output and the errors of the guest crate's example apps.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, Record};
use xila_network_host::Manager;
use xila_network_host::platform::Access;
use xila_network_host::socket::{ListenOptions, TcpListener, TcpStream, UdpSocket};
use xila_network_tests::guests::{Ending, Guest};
use xila_network_tests::networks::{manager, nothing_is_left, with_ethernet};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ping_prints_the_replies() {
    let manager = manager();
    for (host, first) in
        [("127.0.0.1", "PING 127.0.0.1 (127.0.0.1) 56(84) bytes of data."), ("::1", "PING ::1(::1) 56 data bytes")]
    {
        let ping = Guest::new("ping").arguments(["-c", "3", "-i", "0.01", host]).network(manager.network());
        let output = ping.succeed().await;
        let lines: Vec<&str> = output.lines().collect();
        assert_eq!(lines[0], first, "{output}");
        for (index, line) in lines[1..4].iter().enumerate() {
            let begin = format!("64 bytes from {host}: icmp_seq={} ttl=64 time=", index + 1);
            assert!(line.starts_with(&begin) && line.ends_with(" ms"), "{output}");
        }
        assert_eq!(lines[5], format!("--- {host} ping statistics ---"), "{output}");
        assert!(lines[6].starts_with("3 packets transmitted, 3 received, 0% packet loss, time "), "{output}");
        assert!(lines[7].starts_with("rtt min/avg/max/mdev = "), "{output}");
    }
    nothing_is_left(&manager).await;
}

/// The host learns only whether a guest's exit status is 0, because `wasi:cli/exit` of WASI 0.2 passes no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ping_fails_without_replies() {
    let (_hub, manager) = with_ethernet();
    for (arguments, complaint) in [
        (&["-c", "1", "-W", "0.2", "10.0.0.99"][..], ""),
        (&["-c", "1", "192.0.2.1"], "ping: connect: Network is unreachable\n"),
        (&["-c", "1", "host.example"], "ping: host.example: Temporary failure in name resolution\n"),
        (&["-t", "0", "10.0.0.1"], "ping: cannot set unicast time-to-live: Invalid argument\n"),
    ] {
        let exit = Guest::new("ping").arguments(arguments).network(manager.network()).run().await.expect("a run");
        assert_eq!((&exit.ending, &*exit.stderr), (&Ending::Status(1), complaint), "{exit}");
        assert_eq!(exit.stdout.contains("1 packets transmitted, 0 received"), complaint.is_empty(), "{exit}");
    }
    nothing_is_left(&manager).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traceroute_finds_the_host() {
    let manager = manager();
    for (host, size) in [("127.0.0.1", 60), ("::1", 80)] {
        let guest = Guest::new("traceroute").arguments(["-q", "1", host]).network(manager.network());
        let output = guest.succeed().await;
        let (first, second) = output.trim_end().split_once('\n').expect("two lines");
        assert_eq!(first, format!("traceroute to {host} ({host}), 30 hops max, {size} byte packets"));
        assert!(second.starts_with(&format!(" 1  localhost ({host})  ")) && second.ends_with(" ms"), "{output}");
    }
    nothing_is_left(&manager).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dig_queries_the_given_names_and_types() {
    let manager = manager();
    let dig = |arguments: &[&str]| Guest::new("dig").arguments(arguments).network(manager.network());
    assert_eq!(dig(&["localhost", "AAAA", "+short"]).succeed().await, "::1\n");
    let answer = dig(&["localhost"]).succeed().await;
    assert!(answer.contains("status: NOERROR\n"), "{answer}");
    assert!(answer.contains("\n;; ANSWER SECTION:\nlocalhost.\t\t"), "{answer}");
    assert!(answer.contains("\tIN\tA\t127.0.0.1\n"), "{answer}");
    let unreachable = dig(&["host.example"]).run().await.expect("a run");
    assert_eq!(unreachable.ending, Ending::Status(1), "{unreachable}");
    assert_eq!(unreachable.stdout, ";; no servers could be reached\n");
    for (arguments, complaint) in [
        (&["a..b"][..], "dig: 'a..b.' is not a legal name"),
        (&["@ns.example", "a"], "error: ns.example is no address"),
        (&["@10.0.0.1", "@10.0.0.2", "a"], "error: one @SERVER is what can be asked"),
        (&["@224.0.0.1", "a"], "dig: Invalid argument"),
        (&[], "error: NAME is missing"),
        (&["a", "NOTYPE"], "error: NOTYPE is no type of records"),
    ] {
        let exit = dig(arguments).run().await.expect("a run");
        assert_eq!(exit.ending, Ending::Status(1), "{exit}");
        assert!(exit.stderr.starts_with(complaint), "{exit}");
    }
}

/// Starts a name server on the loopback. By UDP it answers NXDOMAIN for names that begin with `gone`, and truncated
/// answers for others; by TCP it answers every name with an address.
fn serve_names(manager: &Manager) {
    let at = SocketAddr::from(([127, 0, 0, 1], 53));
    let socket = UdpSocket::bind(&manager.network(), at).expect("the port is free");
    let listener = TcpListener::bind(&manager.network(), at, ListenOptions::default()).expect("the port is free");
    tokio::spawn(async move {
        while let Ok(datagram) = socket.recv_datagram().await {
            let mut answer = Message::from_vec(&datagram.data).expect("a question").into_response();
            let is_gone = answer.queries[0].name().to_ascii().to_lowercase().starts_with("gone");
            answer.metadata.truncation = !is_gone;
            answer.metadata.response_code = if is_gone { ResponseCode::NXDomain } else { ResponseCode::NoError };
            socket.send_to(&answer.to_vec().expect("a message"), datagram.remote).await.expect("it asks");
        }
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut length = [0; 2];
            fill(&stream, &mut length).await;
            let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
            fill(&stream, &mut question).await;
            let mut answer = Message::from_vec(&question).expect("a question").into_response();
            let name = answer.queries[0].name().clone();
            answer.add_answer(Record::from_rdata(name, 60, RData::from(IpAddr::from([192, 0, 2, 7]))));
            let answer = answer.to_vec().expect("a message");
            let length = u16::try_from(answer.len()).expect("a short one").to_be_bytes();
            stream.write_all(&[&length, &answer[..]].concat()).await.expect("it waits");
        }
    });
}

async fn fill(stream: &TcpStream, mut buffer: &mut [u8]) {
    while !buffer.is_empty() {
        let count = stream.read(buffer).await.expect("the question");
        assert_ne!(count, 0, "the question ends early");
        buffer = &mut buffer[count..];
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dig_prints_the_server_and_the_protocol() {
    let manager = manager();
    serve_names(&manager);
    let dig = |arguments: &[&str]| Guest::new("dig").arguments(arguments).network(manager.network());
    let answer = dig(&["@127.0.0.1", "www.example.test"]).succeed().await;
    for line in [
        ";; Truncated, retried in TCP mode.",
        ";; ->>HEADER<<- opcode: QUERY, status: NOERROR",
        "www.example.test.\t60\tIN\tA\t192.0.2.7",
        ";; SERVER: 127.0.0.1#53(127.0.0.1) (TCP)",
    ] {
        assert!(answer.lines().any(|known| known == line), "{line}: {answer}");
    }
    let answer = dig(&["gone.example.test", "@127.0.0.1", "AAAA"]).succeed().await;
    assert!(answer.contains("status: NXDOMAIN\n") && !answer.contains("Truncated"), "{answer}");
    assert!(answer.ends_with(";; SERVER: 127.0.0.1#53(127.0.0.1) (UDP)\n"), "{answer}");
    // If the given server does not exist, an existing one is not used in its place.
    manager.interface("lo").expect("lo").add_dns_server([127, 0, 0, 1].into()).expect("a server");
    assert!(dig(&["www.example.test"]).succeed().await.contains("(TCP)"));
    let nobody = dig(&["@127.0.0.2", "www.example.test"]).run().await.expect("a run");
    assert_eq!((&nobody.ending, &*nobody.stdout), (&Ending::Status(1), ";; no servers could be reached\n"), "{nobody}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ip_shows_and_changes() {
    let (_hub, manager) = with_ethernet();
    let eth0 = manager.interface("eth0").expect("eth0");
    let mac = eth0.hardware_address().expect("a hardware address");
    let ip = async |line: &str| {
        let guest = Guest::new("ip").arguments(line.split_whitespace()).network(manager.network());
        let exit = guest.control(&manager, Access::READ_WRITE).run().await.expect("a run");
        match &exit.ending {
            Ending::Status(0) => Ok(exit.stdout),
            Ending::Status(_) => Err(exit.stderr),
            Ending::Trap(_) | Ending::Stuck => panic!("{exit}"),
        }
    };
    let shown = |text: String| Ok::<String, String>(text);
    let eth0_line = "2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 state UP";
    let link = format!("{eth0_line}\n    link/ether {mac} brd ff:ff:ff:ff:ff:ff\n");
    assert_eq!(ip("link show eth0").await, shown(link.clone()));
    let inet = "    inet 10.0.0.1/24 scope global eth0\n       valid_lft forever preferred_lft forever\n";
    assert_eq!(ip("a s dev eth0").await, shown(format!("{link}{inet}")));
    assert_eq!(ip("-br a show eth0").await, shown(format!("{:<16} {:<14} 10.0.0.1/24\n", "eth0", "UP")));
    assert!(ip("-s link").await.is_ok_and(|text| text.contains("RX:  bytes packets errors dropped\n")));

    for line in [
        "addr add 192.0.2.1/24 dev eth0",
        "route add default via 10.0.0.254 dev eth0 metric 100",
        "r a 198.51.100.0/24 via 192.0.2.254",
        "dns add 10.0.0.53 dev eth0",
        "link set dev eth0 mtu 1400 address 02:00:00:00:00:01",
    ] {
        assert_eq!(ip(line).await, shown(String::new()), "{line}");
    }
    let routes = "default via 10.0.0.254 dev eth0 proto static metric 100\n\
                  10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.1\n\
                  192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.1\n\
                  198.51.100.0/24 via 192.0.2.254 dev eth0 proto static\n";
    assert_eq!(ip("r").await, shown(routes.to_owned()));
    assert_eq!(ip("dns").await, shown("10.0.0.53 dev eth0\n".to_owned()));
    assert_eq!(ip("dhcp show eth0").await, shown("eth0: off\n".to_owned()));
    assert_eq!((eth0.mtu(), eth0.addresses().len(), eth0.routes().len()), (1400, 2, 2));

    for (line, complaint) in [
        ("addr add 192.0.2.1/24 dev eth0", "RTNETLINK answers: File exists\n"),
        ("addr add 192.0.2.1/33 dev eth0", "Error: any valid prefix is expected rather than \"192.0.2.1/33\".\n"),
        ("addr add 192.0.2.1/24", "Not enough information: \"dev\" argument is required.\n"),
        ("addr add 192.0.2.1/24 dev eth9", "Cannot find device \"eth9\"\n"),
        ("addr show eth9", "Device \"eth9\" does not exist.\n"),
        ("route del 203.0.113.0/24", "RTNETLINK answers: No such process\n"),
        ("route add 203.0.113.0/24 via 203.0.113.1", "RTNETLINK answers: Network is unreachable\n"),
        ("frob", "Object \"frob\" is unknown, try \"ip help\".\n"),
        ("dhcp on lo", "RTNETLINK answers: Operation not supported\n"),
    ] {
        assert_eq!(ip(line).await, Err(complaint.to_owned()), "{line}");
    }

    for line in [
        "route del default",
        "route del 198.51.100.0/24",
        "addr del 192.0.2.1/24 dev eth0",
        "dns del 10.0.0.53 dev eth0",
        "link set eth0 down",
    ] {
        assert_eq!(ip(line).await, shown(String::new()), "{line}");
    }
    let down = ip("link show eth0").await.expect("it is there");
    assert!(down.starts_with("2: eth0: <BROADCAST,MULTICAST> mtu 1400 state DOWN\n"), "{down}");
    assert_eq!(ip("route").await, shown(String::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ip_monitor_prints_changes() {
    let manager = manager();
    let lo = manager.interface("lo").expect("lo");
    let guest = Guest::new("ip").arguments(["monitor", "-c", "2"]).network(manager.network());
    let mut monitor = Box::pin(guest.control(&manager, Access::READ).succeed());
    // The app reports only changes after it has begun to watch; the test cannot observe when that is.
    let server = [192, 0, 2, 53].into();
    let output = loop {
        tokio::select! {
            biased;
            output = &mut monitor => break output,
            () = tokio::time::sleep(Duration::from_millis(20)) => {
                lo.add_dns_server(server).expect("added");
                lo.remove_dns_server(server).expect("removed");
            }
        }
    };
    assert_eq!(output, "dns 192.0.2.53 dev lo\nDeleted dns 192.0.2.53 dev lo\n");
}
